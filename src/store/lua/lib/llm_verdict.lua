-- What a settled call says of its target: good, faulty, neutral, or cool for so many ms.
local function open(key, cool, why)
  redis.call('HSET', key, 'open', '1', 'cool', int(cool), 'from', int(slot + 1))
  cool_until(key, now + cool, why)
end

local function judge(target, verdict, cool, status, probing)
  local key = breaker_key(target)
  if verdict == 'cool' then
    cool_until(key, now + cool, status)
  elseif verdict ~= 'neutral' then
    local good, faulty = outcome(key, verdict == 'good' and 1 or 0, verdict == 'faulty' and 1 or 0)
    local f = redis.call('HMGET', key, 'open', 'cool')
    if probing and verdict == 'good' then
      redis.call('HDEL', key, 'open', 'cool', 'until', 'why')
      redis.call('HSET', key, 'from', int(slot + 1))
    elseif probing then
      open(key, math.min((tonumber(f[2]) or FIRST) * 2, MOST), status)
    elseif f[1] ~= '1' and good + faulty >= LEAST and faulty * 2 >= good + faulty then
      open(key, FIRST, status)
    end
  end
  redis.call('EXPIRE', key, int(2 * DAY))
end

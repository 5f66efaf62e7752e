-- The depth list, the jobs that wait for a time, and the bell.

-- Ends every change of membership: the depth list's length becomes order + parked. A band that
-- emptied drops its tags. Returns the number of jobs in order.
local function settle()
  local in_order, parked = 0, tonumber(redis.call('HGET', parked_key, 'total')) or 0
  local empty, tags = {}, {}
  for _, band in ipairs(bands) do
    local n = redis.call('ZCARD', qkey('order:' .. band))
    if n == 0 and parked == 0 then
      empty[#empty + 1], tags[#tags + 1] = qkey('finish:' .. band), 'v:' .. band
    end
    in_order = in_order + n
  end
  if #empty > 0 and redis.call('DEL', unpack(empty)) > 0 then
    redis.call('HDEL', fair_key, unpack(tags))
  end
  local depth_key = qkey('pending')
  local want, have = in_order + parked, redis.call('LLEN', depth_key)
  if have > want then
    redis.call('LTRIM', depth_key, '0', int(want - 1))
    if want == 0 then
      redis.call('DEL', depth_key)
    end
  elseif have < want then
    local ones = {}
    for i = 1, math.min(want - have, 2000) do
      ones[i] = '1'
    end
    redis.call('RPUSH', depth_key, unpack(ones))
  end
  return in_order
end

-- Sets jobs aside until their time: due, id, … True when one is due before all that were there, so
-- that a worker has to wake sooner.
local function schedule(scored)
  if #scored == 0 then
    return false
  end
  local was = tonumber(redis.call('ZRANGE', scheduled_key, '0', '0', 'WITHSCORES')[2]) or math.huge
  redis.call('ZADD', scheduled_key, unpack(scored))
  return tonumber(redis.call('ZRANGE', scheduled_key, '0', '0', 'WITHSCORES')[2]) < was
end

local function live_workers()
  return redis.call('ZCOUNT', qkey('workers'), now_text, '+inf')
end

-- One token for one idle worker; never more tokens than live workers.
local function ring()
  if redis.call('LLEN', wake_key) < live_workers() then
    redis.call('RPUSH', wake_key, '1')
  end
end

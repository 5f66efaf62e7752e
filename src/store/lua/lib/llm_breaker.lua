-- The breaker of a target, one hash: until (cooling until then), why, open (1: a probe has to close it), cool (length
-- of the latest cooldown), probe (job whose call is the probe) and probe_until, o0..o12 (outcomes of the last minute:
-- 'slot good faulty', each slot five seconds), from (the first slot that counts: what was judged is not judged again).
-- Opens as LiteLLM does: half or more of at least five calls of a minute.
local SLOT, SLOTS, LEAST, FIRST, MOST = 5, 13, 5, 5000, 300000
local slot = math.floor(second / SLOT)

-- Until when a target is left alone; after that true: it may be called by one call only, the probe.
local function cooling(target)
  local f = redis.call('HMGET', breaker_key(target), 'until', 'open', 'probe_until', 'cool')
  local till = tonumber(f[1]) or 0
  if till > now then
    return till, false
  elseif f[2] ~= '1' then
    return nil, false
  elseif (tonumber(f[3]) or 0) > now then
    return now + math.min(tonumber(f[4]) or FIRST, LONGEST), false
  end
  return nil, true
end

local function begin_probe(target, job, expiry)
  redis.call('HSET', breaker_key(target), 'probe', job, 'probe_until', int(expiry))
end

-- Whether the job's call was the probe until now, and not one whose time ran out.
local function end_probe(target, job)
  local key = breaker_key(target)
  return redis.call('HGET', key, 'probe') == job and redis.call('HDEL', key, 'probe', 'probe_until') > 0
end

local function cool_until(key, till, why)
  if till > (tonumber(redis.call('HGET', key, 'until')) or 0) then
    redis.call('HSET', key, 'until', int(till), 'why', why)
  end
end

-- Notes an outcome; returns the good and the faulty ones that count.
local function outcome(key, good, faulty)
  local names, mine, all = { 'from' }, { good, faulty }, { good, faulty }
  for i = 1, SLOTS do
    names[i + 1] = 'o' .. i - 1
  end
  local found = redis.call('HMGET', key, unpack(names))
  local from = math.max(tonumber(found[1]) or 0, slot - SLOTS + 1)
  for i = 2, SLOTS + 1 do
    local at, g, f = string.match(found[i] or '', '^(%d+) (%d+) (%d+)$')
    at = tonumber(at) or -1
    if at >= from then
      all = { all[1] + g, all[2] + f }
    end
    if at == slot then
      mine = { mine[1] + g, mine[2] + f }
    end
  end
  redis.call('HSET', key, 'o' .. slot % SLOTS, int(slot) .. ' ' .. int(mine[1]) .. ' ' .. int(mine[2]))
  return all[1], all[2]
end

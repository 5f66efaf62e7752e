-- Writes the leases and what the served and parked jobs change.
local function record_claim(o, slot)
  for band, lists in pairs(parks) do
    for blocker, scored in pairs(lists) do
      park(band, blocker, scored)
    end
  end
  local n = #leases / 2
  local fair = { 'slot', int((slot + n) % 16) }
  for band, tag in pairs(served) do
    fair[#fair + 1], fair[#fair + 2] = 'v:' .. band, int(math.max(o.v[band], tag))
  end
  redis.call('HSET', fair_key, unpack(fair))
  for _, band in ipairs(bands) do
    local fields, by = {}, {}
    for key, count_taken in pairs(took) do
      local b, ws = string.match(key, '^(%a+)\t(.*)$')
      if b == band then
        fields[#fields + 1], by[#by + 1] = ws .. ':n', count_taken
      end
    end
    if #fields > 0 then
      local finish_key, flat = qkey('finish:' .. band), {}
      for i, was in ipairs(redis.call('HMGET', finish_key, unpack(fields))) do
        flat[2 * i - 1], flat[2 * i] = fields[i], int(math.max((tonumber(was) or 0) - by[i], 0))
      end
      redis.call('HSET', finish_key, unpack(flat))
    end
  end
  if n > 0 then
    redis.call('ZADD', running_key, unpack(leases))
    redis.call('HSET', attempts_key, unpack(entries_out))
    if redis.call('EXISTS', expiring_key) == 1 then
      local ids = {}
      for i = 1, #found, 3 do
        ids[#ids + 1] = found[i]
      end
      redis.call('ZREM', expiring_key, unpack(ids))
    end
    count('dequeue', n)
  end
end

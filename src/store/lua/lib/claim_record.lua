-- Writes the leases and what the served and parked jobs change.
local function record_claim(o, slot)
  for band, lists in pairs(parks) do
    for blocker, scored in pairs(lists) do
      park(band, blocker, scored)
    end
  end
  local fair = { 'slot', int((slot + accepted) % 16) }
  for band, tag in pairs(served) do
    fair[#fair + 1], fair[#fair + 2] = 'v:' .. band, int(math.max(o.v[band], tag))
  end
  redis.call('HSET', fair_key, unpack(fair))
  if accepted > 0 then
    redis.call('ZADD', running_key, unpack(leases))
    redis.call('HSET', attempts_key, unpack(entries_out))
    if redis.call('EXISTS', expiring_key) == 1 then
      local ids = {}
      for i = 1, #found, 2 do
        ids[#ids + 1] = found[i]
      end
      redis.call('ZREM', expiring_key, unpack(ids))
    end
    count('dequeue', accepted)
  end
end

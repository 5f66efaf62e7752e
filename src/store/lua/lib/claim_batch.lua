-- Brings back jobs parked for want of a worker that takes them, if this one does.
local function bring_back(o)
  local waiting = tonumber(redis.call('HGET', parked_key, 'waiting')) or 0
  if waiting == 0 then
    return 0
  end
  local moved = 0
  for _, band in ipairs(bands) do
    for kind in pairs(o.types) do
      moved = moved + unpark(band, 'o:' .. kind, o.want)
    end
    if o.may_suspect then
      moved = moved + unpark(band, 's', 1)
    end
  end
  return waiting - moved
end

local function pop(o, band, n)
  n = math.min(n, CLAIM_LOOK - looked)
  if n > 0 and o.cards[band] > 0 then
    local popped = redis.call('ZPOPMIN', qkey('order:' .. band), int(n))
    o.cards[band] = o.cards[band] - #popped / 2
    looked = looked + #popped / 2
    consider(o, band, popped)
  end
end

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

-- Returns the jobs and the number of jobs that wait for a worker unlike this one.
local function claim(o)
  if o.want == 0 or blocks()['q'] then
    return found, 0
  end
  local waiting = bring_back(o)
  local fair = redis.call('HMGET', fair_key, 'slot', 'v:high', 'v:normal', 'v:low')
  local slot = tonumber(fair[1]) or 0
  o.cards, o.v = {}, {}
  for i, band in ipairs(bands) do
    o.cards[band] = redis.call('ZCARD', qkey('order:' .. band))
    o.v[band] = tonumber(fair[i + 1]) or 0
  end
  pop(o, 'low', math.floor((slot + o.want) / 16))
  pop(o, 'normal', math.floor((slot + 8 + o.want) / 16) - math.floor((slot + 8) / 16))
  for _, band in ipairs(bands) do
    while #found / 3 < o.want and o.cards[band] > 0 and looked < CLAIM_LOOK do
      pop(o, band, o.want - #found / 3)
    end
  end
  if looked > 0 then
    record_claim(o, slot)
  end
  return found, waiting
end

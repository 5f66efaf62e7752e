-- Brings back jobs parked for want of a worker that takes them, if this one does. Returns how many
-- wait on for another, and how many came back.
local function bring_back(o)
  local waiting = tonumber(redis.call('HGET', parked_key, 'waiting')) or 0
  if waiting == 0 then
    return 0, 0
  end
  local moved = 0
  for _, band in ipairs(bands) do
    for kind in pairs(o.types) do
      moved = moved + unpark(band, 'o:' .. kind, o.want)
    end
    if o.may_suspect and not took_suspect then
      moved = moved + unpark(band, 's', 1)
    end
  end
  return waiting - moved, moved
end

local function pop(o, band, n)
  n = math.min(n, CLAIM_LOOK - looked)
  if n > 0 and o.cards[band] > 0 then
    local ids = redis.call('ZRANGE', qkey('order:' .. band), '0', int(n - 1)) -- ZPOPMIN would print every score
    o.cards[band] = o.cards[band] - #ids
    looked = looked + #ids
    consider(o, band, ids)
  end
end

local function count_order(o)
  o.cards = {}
  for _, band in ipairs(bands) do
    o.cards[band] = redis.call('ZCARD', qkey('order:' .. band))
  end
end

local function fill(o)
  for _, band in ipairs(bands) do
    while accepted < o.want and o.cards[band] > 0 and looked < CLAIM_LOOK do
      pop(o, band, o.want - accepted)
    end
  end
end

-- Returns the jobs and the number of jobs that wait for a worker unlike this one.
local function claim(o)
  if o.want == 0 or blocks()['q'] then
    return found, 0
  end
  local fair = redis.call('HMGET', fair_key, 'slot', 'v:high', 'v:normal', 'v:low')
  local slot = tonumber(fair[1]) or 0
  o.v = { high = tonumber(fair[2]) or 0, normal = tonumber(fair[3]) or 0, low = tonumber(fair[4]) or 0 }
  local waiting, moved = bring_back(o)
  local came_back = moved > 0
  count_order(o)
  pop(o, 'low', math.floor((slot + o.want) / 16))
  pop(o, 'normal', math.floor((slot + 8 + o.want) / 16) - math.floor((slot + 8) / 16))
  fill(o)
  -- What came back may have been blocked otherwise, and what it left room for may be behind it.
  while (moved > 0 or made_room) and accepted < o.want and looked < CLAIM_LOOK do
    made_room = false
    waiting, moved = bring_back(o)
    count_order(o)
    fill(o)
  end
  if looked > 0 then
    record_claim(o, slot)
  end
  -- More of what came back may wait, or not all was looked at: another worker goes on.
  fresh_waiting = fresh_waiting or (waiting > 0 and (came_back or looked >= CLAIM_LOOK))
  return found, waiting
end

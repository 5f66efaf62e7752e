-- Parked jobs: in line, but out of the order until what blocks them is gone.
-- Counts n jobs into the parked set of a blocker, or out of it with n < 0.
local function count_parked(band, blocker, n)
  local field = band .. ':' .. blocker
  if redis.call('HINCRBY', parked_key, field, int(n)) <= 0 then
    redis.call('HDEL', parked_key, field)
  end
  redis.call('HINCRBY', parked_key, 'total', int(n))
  local first = string.sub(blocker, 1, 1)
  if first == 'o' or first == 's' then
    redis.call('HINCRBY', parked_key, 'waiting', int(n))
  end
end

local function parked_set(band, blocker)
  return qkey('parked:' .. band .. ':' .. blocker)
end

local function park(band, blocker, scored)
  local added = redis.call('ZADD', parked_set(band, blocker), unpack(scored))
  count_parked(band, blocker, added)
end

-- Moves up to n jobs of a blocker back into the order, with the tags they had.
local function unpark(band, blocker, n)
  local popped = redis.call('ZPOPMIN', parked_set(band, blocker), int(n))
  if #popped == 0 then
    return 0
  end
  local scored = {}
  for i = 1, #popped, 2 do
    scored[i], scored[i + 1] = popped[i + 1], popped[i]
  end
  redis.call('ZADD', qkey('order:' .. band), unpack(scored))
  count_parked(band, blocker, -#popped / 2)
  return #popped / 2
end

-- Brings back parked jobs of a capped workspace, as many as it has free slots.
local function unpark_capped(ws)
  if not limits[ws] or not limits[ws].cap then
    return 0
  end
  local free, moved = limits[ws].cap - slots[ws], 0
  for _, band in ipairs(bands) do
    if free > moved then
      moved = moved + unpark(band, 'c:' .. ws, math.min(free - moved, 100))
    end
  end
  return moved
end

-- Gives a lease's slot back to its workspace, if that has a cap.
local function free_slot(ws, member)
  load_limits({ [ws] = true })
  if limits[ws].cap and redis.call('SREM', qkey('slots:' .. ws), member) == 1 then
    slots[ws] = slots[ws] - 1
    unpark_capped(ws)
  end
end

-- The line: fair order per band, parked sets, the depth list and the bell.
local fair_key = qkey('fair')
local parked_key = qkey('parked')
local wake_key = qkey('wake')

local function line_types()
  return {
    [jobs_key] = 'hash', [attempts_key] = 'hash', [stats_key] = 'hash', [fair_key] = 'hash', [parked_key] = 'hash',
    [qkey('pending')] = 'list', [wake_key] = 'list', [qkey('scheduled')] = 'zset', [qkey('running')] = 'zset',
    [qkey('expiring')] = 'zset', [qkey('order:high')] = 'zset', [qkey('order:normal')] = 'zset',
    [qkey('order:low')] = 'zset', [qkey('finish:high')] = 'hash', [qkey('finish:normal')] = 'hash',
    [qkey('finish:low')] = 'hash', [base .. ':events'] = 'stream',
  }
end

local blocked = nil
local function blocks()
  if not blocked then
    blocked = {}
    local flat = redis.call('HGETALL', qkey('blocked'))
    for i = 1, #flat, 2 do
      blocked[flat[i]] = flat[i + 1]
    end
  end
  return blocked
end

-- Limits of the workspaces in `names` (a set), read once per call: weight and cap.
local limits, slots = {}, {}
local function load_limits(names)
  local missing = {}
  for ws in pairs(names) do
    if not limits[ws] then
      missing[#missing + 1] = ws
    end
  end
  if #missing == 0 then
    return
  end
  local found = redis.call('HMGET', base .. ':limits', unpack(missing))
  for i, ws in ipairs(missing) do
    local weight, cap = string.match(found[i] or '', '^(%d+)\t(%d*)$')
    limits[ws] = { step = math.floor(1000 / (tonumber(weight) or 1)), cap = tonumber(cap) }
    if limits[ws].cap then
      slots[ws] = redis.call('SCARD', qkey('slots:' .. ws))
    end
  end
end

local function blocker_of(ws, kind)
  local b = blocks()
  if b['t:' .. kind] then
    return 't:' .. kind
  elseif b['w:' .. ws] then
    return 'w:' .. ws
  elseif limits[ws].cap and slots[ws] >= limits[ws].cap then
    return 'c:' .. ws
  end
end

-- Moves `pairs` (score, id, …) into the parked set of a blocker, or counts them out with n < 0.
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

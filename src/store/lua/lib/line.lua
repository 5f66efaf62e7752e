-- The line's keys, and what keeps a job from being claimed: pauses and caps.
local fair_key = qkey('fair')
local parked_key = qkey('parked')
local wake_key = qkey('wake')
local scheduled_key, running_key, expiring_key = qkey('scheduled'), qkey('running'), qkey('expiring')

local function line_types()
  return {
    [jobs_key] = 'hash', [attempts_key] = 'hash', [stats_key] = 'hash', [fair_key] = 'hash',
    [qkey('pending')] = 'list', [wake_key] = 'list', [running_key] = 'zset', [qkey('order:normal')] = 'zset',
    [qkey('finish:normal')] = 'hash', [base .. ':events'] = 'stream', [qkey('workers')] = 'zset',
    [base .. ':queues'] = 'set',
  }, {
    [parked_key] = 'hash', [scheduled_key] = 'zset', [expiring_key] = 'zset', [qkey('order:high')] = 'zset',
    [qkey('order:low')] = 'zset', [qkey('finish:high')] = 'hash', [qkey('finish:low')] = 'hash',
    [qkey('blocked')] = 'hash', [base .. ':limits'] = 'hash',
  }
end

local blocked = nil
local function blocks()
  if not blocked then
    blocked = {}
    local flat = absent[qkey('blocked')] and {} or redis.call('HGETALL', qkey('blocked'))
    for i = 1, #flat, 2 do
      blocked[flat[i]] = flat[i + 1]
    end
  end
  return blocked
end

-- Limits of the workspaces in `names` (a set), read once per call: step (1000 / weight) and cap.
local PLAIN = { step = 1000 }
local limits, slots, any_limits = {}, {}, nil
local function load_limits(names)
  if any_limits == nil then
    any_limits = not absent[base .. ':limits'] and redis.call('EXISTS', base .. ':limits') == 1
    if not any_limits then
      setmetatable(limits, { __index = function() return PLAIN end })
    end
  end
  local missing = {}
  for ws in pairs(any_limits and names or missing) do
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
    limits[ws] = weight and { step = math.floor(1000 / tonumber(weight)), cap = tonumber(cap) } or PLAIN
    if limits[ws].cap then
      slots[ws] = redis.call('SCARD', qkey('slots:' .. ws))
    end
  end
end

-- Nothing is limited or paused: asked once per call, `blocker_of` need not be asked for each job.
local function unblocked()
  return not any_limits and next(blocks()) == nil
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

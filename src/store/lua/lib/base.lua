-- Time, key names and the record's header. KEYS[1] is <base>:jobs, ARGV[1] the queue.
local base = string.sub(KEYS[1], 1, -6)
local queue = ARGV[1]
local suffix = queue == 'default' and '' or ':' .. queue
local bands = { 'high', 'normal', 'low' }
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function qkey(name)
  return base .. ':queue:' .. name .. suffix
end

-- Whole numbers go to Redis as text: a Lua number costs a "%.17g" each, and "%.0f" three times a "%d".
-- A call's tags repeat, so each is printed once.
local texts = {}
local function int(n)
  local text = texts[n]
  if not text then
    text = string.format('%d', n)
    texts[n] = text
  end
  return text
end

local now_text = int(now)

local jobs_key = KEYS[1]
local attempts_key = base .. ':attempts'
local stats_key = qkey('stats')

-- Lua does not roll back: a key of a wrong type must be met before the first write. Its length tells, and costs a
-- third of what TYPE does.
local LENGTH = { hash = 'HLEN', list = 'LLEN', set = 'SCARD', zset = 'ZCARD', stream = 'XLEN', string = 'STRLEN' }
local expect_types, absent = nil, {} -- keys that were not there at the start of the call, as far as asked
function expect_types(types, seldom)
  for key, want in pairs(types) do
    if type(redis.pcall(LENGTH[want], key)) == 'table' then
      return redis.error_reply('WLTYPE ' .. key .. ' is not a ' .. want)
    end
  end
  -- What is not there has no wrong type: one question for all that a queue seldom has.
  local keys = {}
  for key in pairs(seldom or keys) do
    keys[#keys + 1] = key
  end
  if #keys > 0 and redis.call('EXISTS', unpack(keys)) > 0 then
    return expect_types(seldom)
  end
  absent = seldom or absent
end

-- Whether a stamp that came with the call is the time. Long values come stamped, because Redis hashes every byte of
-- every string that a script makes; a stamp more than 100 ms off is replaced.
local function is_now(stamp)
  return math.abs(now - tonumber(stamp)) <= 100
end

-- One packed stream entry per call. `id` is followed by `:attempt_id` when this attempt ended or wrote something;
-- `what` is state letter, attempt and a blank. `claimed_by` is the attempt id that every R of the entry has.
local events, event_count = {}, 0
local function event(id, what)
  events[event_count + 1], events[event_count + 2] = id, what
  event_count = event_count + 2
end
-- Returns the time, and behind a slash the entry it wrote: who is told of it can tell later that it is gone.
local function flush_events(limit, claimed_by)
  if event_count == 0 or limit == '0' then
    return now_text
  end
  events[event_count] = string.sub(events[event_count], 1, -2)
  local log, by = base .. ':events', claimed_by or ''
  return now_text .. '/' .. redis.call('XADD', log, 'MAXLEN', '~', limit, '*', 'e', table.concat(events), 'a', by)
end

local function count(field, n)
  if n ~= 0 then
    redis.call('HINCRBY', stats_key, field, int(n))
  end
end

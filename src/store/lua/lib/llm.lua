-- Calls to language models: key names, whom limits are kept for, what is kept of a reservation.
local llm = base .. ':llm:'
local held_key, holds_key = llm .. 'reserved', llm .. 'holds'
local second = math.floor(now / 1000)
local DAY = 86400

-- Whom limits are kept for: `p:openai`, `m:openai/gpt-4o-mini`, `w:acme`.
local function scopes_of(provider, model, ws)
  local target = provider .. '/' .. model
  return {
    { id = 'p:' .. provider, whose = 'provider ' .. provider },
    { id = 'm:' .. target, whose = 'model ' .. target },
    { id = 'w:' .. ws, whose = 'workspace ' .. ws },
  }
end

local function day_of(sec)
  return math.floor(sec / DAY)
end

local function calls_key(scope)
  return llm .. 'calls:' .. scope.id
end

local function rate_key(scope)
  return llm .. 'rate:' .. scope.id
end

local function money_key(scope, day)
  return llm .. 'money:' .. int(day) .. ':' .. scope.id
end

local function breaker_key(target)
  return llm .. 'breaker:' .. target
end

local function usage_key(day)
  return llm .. 'usage:' .. int(day)
end

-- Reservation: state (b booked, g granted) \t call \t second whose cells hold it \t tokens \t nano-USD \t day \t
-- workspace \t provider \t model \t probe (1 or 0) \t at \t whose limit and \t which one was in the way
local function held(text)
  local f = {}
  for part in string.gmatch((text or '') .. '\t', '([^\t]*)\t') do
    f[#f + 1] = part
  end
  return text and {
    state = f[1], call = f[2], cell = tonumber(f[3]), tokens = tonumber(f[4]), nano = tonumber(f[5]),
    day = tonumber(f[6]), ws = f[7], provider = f[8], model = f[9], probe = f[10] == '1', at = f[11],
    whose = f[12], kind = f[13], target = f[8] .. '/' .. f[9], scopes = scopes_of(f[8], f[9], f[7]),
  }
end

local function hold(job, r, expiry)
  redis.call('HSET', held_key, job, table.concat({
    r.state, r.call, int(r.cell), int(r.tokens), int(r.nano), int(r.day), r.ws, r.provider, r.model,
    r.probe and '1' or '0', r.at, r.whose or '', r.kind or '',
  }, '\t'))
  redis.call('ZADD', holds_key, int(expiry), job)
end

-- Adds the keys that a reservation touches to those whose types are checked. A booking may be for tomorrow.
local AHEAD = 3600
local function held_types(types, r)
  for _, scope in ipairs(r.scopes) do
    types[calls_key(scope)], types[rate_key(scope)] = 'zset', 'hash'
    types[money_key(scope, r.day)], types[money_key(scope, day_of(second + AHEAD))] = 'hash', 'hash'
  end
  types[breaker_key(r.target)], types[usage_key(day_of(second))] = 'hash', 'hash'
  return types
end

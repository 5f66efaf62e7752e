-- Whether a candidate can begin now, and else from when on.
-- A quota: four texts from `at` on (requests, tokens, calls at once, nano-USD a day), empty for no limit.
local function limited(scope, quota, at)
  scope.r, scope.t = tonumber(quota[at]), tonumber(quota[at + 1])
  scope.c, scope.m = tonumber(quota[at + 2]), tonumber(quota[at + 3])
end

-- The same as stored for a workspace, separated by tabs.
local function quota_of(text)
  return { string.match(text, '^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)$') }
end

-- The limit that the call is larger than as a whole.
local function never(c)
  for _, scope in ipairs(c.scopes) do
    local kind = (scope.r and scope.r < 1 and 'requests') or (scope.t and c.tokens > scope.t and 'tokens')
      or (scope.c and scope.c < 1 and 'concurrency') or (scope.m and c.nano > scope.m and 'budget')
    if kind then
      return { whose = scope.whose, kind = kind }
    end
  end
end

local function first_block(c, kind, full)
  for _, scope in ipairs(c.scopes) do
    local found = full(scope)
    if found then
      return { whose = scope.whose, kind = kind or found, scope = scope }
    end
  end
end

-- The second that a booking can be for: late enough for every rate of the candidate.
local function bookable(c)
  local from, sec = second, second
  for _, scope in ipairs(c.own and {} or c.scopes) do
    from = math.max(from, rate(scope).last)
  end
  for _, scope in ipairs(c.scopes) do
    sec = math.max(sec, earliest(scope, c.tokens, math.max(from, rate(scope).head), c.own))
  end
  return sec
end

-- nil when it can begin now, else { at (ms), whose, kind, book (the second, where a booking helps), turn }.
local function blocked(c)
  local till, is_probe = cooling(c.target)
  c.probe = is_probe
  if till then
    return { at = till, whose = c.scopes[2].whose, kind = 'cooling' }
  end
  local today = day_of(second)
  local money = first_block(c, 'budget', function(scope) return paid_out(scope, today, c.nano) end)
  if money then
    money.at = (today + 1) * DAY * 1000
    return money
  end
  local rates_full = first_block(c, nil, function(scope) return crowded(scope, c.tokens, c.own) end)
  local calls_full = first_block(c, 'concurrency', function(scope) return scope.c and open_calls(scope) >= scope.c end)
  if rates_full then
    rates_full.book = bookable(c)
    rates_full.at = rates_full.book * 1000
    return rates_full
  elseif calls_full then
    calls_full.at = turn_of(calls_full.scope)
    calls_full.turn = calls_full.at
    -- Who had a booking keeps it.
    calls_full.book = c.own and math.floor(calls_full.at / 1000) or nil
    return calls_full
  end
end

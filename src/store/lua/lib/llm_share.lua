-- What a call holds beside its place in the rates: a place among the calls at once, and money of the day.
local SHORTEST, LONGEST, UNKNOWN = 250, 30000, 2000

-- Calls at once are open reservations, by the time their hold ends: whoever died is not counted after it.
local function open_calls(scope)
  return redis.call('ZCOUNT', calls_key(scope), '(' .. now_text, '+inf')
end

-- When to ask again at a scope that is full. Calls end took/limit apart on average, so turns are given out that far
-- apart: those who wait come back one by one, about in the order they asked. Far turns are spread, not counted.
local function turn_of(scope)
  local s = rate(scope)
  local gap = math.ceil((s.took > 0 and s.took or UNKNOWN) / scope.c)
  local turn = math.max(s.turn, now) + gap
  if turn > now + LONGEST then
    turn = now + LONGEST * 2 / 3 + turn % (LONGEST / 3)
  end
  return math.max(turn, now + SHORTEST)
end

local function pay(scope, day, spent, reserved)
  local key, fresh = money_key(scope, day), false
  if spent ~= 0 then
    fresh = redis.call('HINCRBY', key, 'spent', int(spent)) == spent
  end
  if reserved ~= 0 then
    fresh = redis.call('HINCRBY', key, 'reserved', int(reserved)) == reserved or fresh
  end
  if fresh then
    redis.call('EXPIRE', key, int(3 * DAY))
  end
end

local function paid_out(scope, day, nano)
  if not scope.m or nano == 0 then
    return false
  end
  local f = redis.call('HMGET', money_key(scope, day), 'spent', 'reserved')
  return (tonumber(f[1]) or 0) + (tonumber(f[2]) or 0) + nano > scope.m
end

-- Takes the share of a call that begins.
local function take(r, job, expiry)
  for _, scope in ipairs(r.scopes) do
    local s = rate(scope)
    count_begun(s, r.cell, 1, r.tokens)
    s.lr, s.lt = scope.r or 0, scope.t or 0
    redis.call('ZADD', calls_key(scope), int(expiry), job)
    if r.nano > 0 then
      pay(scope, r.day, 0, r.nano)
    end
  end
end

-- Books a share for the second r.cell.
local function book(r)
  for _, scope in ipairs(r.scopes) do
    count_booked(rate(scope), r.cell, 1, r.tokens)
    if r.nano > 0 then
      pay(scope, r.day, 0, r.nano)
    end
  end
end

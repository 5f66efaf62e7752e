#!lua flags=allow-oom
-- Purpose: let a job of an action start, if fewer than a number of them did within an hour, or book its time.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue (any), 2 workspace:action, 3 id of the job, 4 most in any hour
-- Returns: milliseconds until the job may start: 0 is now
-- Guarantee: a job counts once; in no hour do more start than they may when they ask. Asking again changes nothing.
local HOUR, MOST = 3600000, 10000
local key, id, most = base .. ':action:cap:' .. ARGV[2], ARGV[3], tonumber(ARGV[4])
local bad = expect_types({ [key] = 'zset' })
if bad then
  return bad
end
local old = redis.call('ZRANGEBYSCORE', key, '-inf', '(' .. int(now - HOUR), 'LIMIT', '0', '100')
if #old > 0 then
  redis.call('ZREM', key, unpack(old))
end
local booked = tonumber(redis.call('ZSCORE', key, id) or nil)
if booked and booked <= now - HOUR then
  booked = nil
end
-- A number that was lowered meanwhile holds for what was booked before it.
if booked and (booked > now or redis.call('ZCOUNT', key, int(now - HOUR), int(booked)) <= most) then
  return int(math.max(booked - now, 0))
end
redis.call('ZREM', key, id)
local last = redis.call('ZREVRANGE', key, int(most - 1), int(most - 1), 'WITHSCORES')
local at = last[2] and math.max(tonumber(last[2]) + HOUR + 1, now) or now
if at > now and redis.call('ZCARD', key) >= MOST then
  return int(at - now)
end
redis.call('ZADD', key, int(at), id)
redis.call('PEXPIRE', key, int(at - now + HOUR + 1))
return int(at - now)

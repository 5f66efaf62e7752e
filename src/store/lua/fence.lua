#!lua flags=allow-oom
-- Purpose: keep those from steps of a bulk operation who began to carry it on before it was stopped or taken over; a full
--          Redis takes it, since a stop has to be possible there.
-- Uses: base part
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 operation, 3 fence
-- Returns: the operation's part on this shard (flat)
-- Guarantee: from then on no step is made here that is wanted under a smaller fence. It never falls.
local part_key = part_of(ARGV[2])
local bad = expect_types({ [part_key] = 'hash' })
if bad then
  return bad
end
if tonumber(redis.call('HGET', part_key, 'fence') or '0') < tonumber(ARGV[3]) then
  redis.call('HSET', part_key, 'fence', ARGV[3])
  redis.call('EXPIRE', part_key, PART_LIFE)
end
return redis.call('HGETALL', part_key)

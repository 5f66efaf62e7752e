#!lua flags=allow-oom
-- Purpose: take, keep or give up the turn to carry a bulk operation on.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 operation, 3 who, 4 for how long (ms), 0 to give it up
-- Returns: 1 if it is (or was) theirs, else 0
-- Guarantee: one holder at a time. Nothing rests on it but work that would be done twice for nothing.
local key = base .. ':operation:' .. ARGV[2] .. ':turn'
local bad = expect_types({ [key] = 'string' })
if bad then
  return bad
end
local holder = redis.call('GET', key)
if holder and holder ~= ARGV[3] then
  return 0
elseif ARGV[4] == '0' then
  redis.call('DEL', key)
else
  redis.call('SET', key, ARGV[3], 'PX', ARGV[4])
end
return 1

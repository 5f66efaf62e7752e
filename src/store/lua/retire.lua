#!lua flags=allow-oom
-- Purpose: strike a worker that has stopped in good order off the lists.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 worker, then its queues
-- Returns: 1
-- Guarantee: touches no lease; one that is left runs out by itself.
local worker, queues, types = ARGV[2], {}, { [base .. ':workers'] = 'zset' }
for i = 3, #ARGV do
  queues[i - 2] = base .. ':queue:workers' .. (ARGV[i] == 'default' and '' or ':' .. ARGV[i])
  types[queues[i - 2]] = 'zset'
end
local bad = expect_types(types)
if bad then
  return bad
end
redis.call('ZREM', base .. ':workers', worker)
redis.call('DEL', base .. ':worker:' .. worker, base .. ':worker:' .. worker .. ':inbox')
for _, key in ipairs(queues) do
  redis.call('ZREM', key, worker)
end
return 1

#!lua flags=allow-oom
-- Purpose: strike a worker that has stopped in good order off the lists.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 worker, then its queues
-- Returns: 1
-- Guarantee: touches no lease; one that is left runs out by itself.
local worker = ARGV[2]
redis.call('ZREM', base .. ':workers', worker)
redis.call('DEL', base .. ':worker:' .. worker, base .. ':worker:' .. worker .. ':inbox')
for i = 3, #ARGV do
  local tail = ARGV[i] == 'default' and '' or ':' .. ARGV[i]
  redis.call('ZREM', base .. ':queue:workers' .. tail, worker)
end
return 1

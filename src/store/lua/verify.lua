#!lua flags=allow-oom
-- Purpose: have a credential checked now: workers are told, and one of them does it.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 workspace/name
-- Returns: now ms, number of workers told
-- Guarantee: tells 100 workers at most, and changes nothing else.
local workers_key = base .. ':workers'
local bad = expect_types({ [workers_key] = 'zset' })
if bad then
  return bad
end
local workers, types = redis.call('ZRANGEBYSCORE', workers_key, now_text, '+inf', 'LIMIT', '0', '100'), {}
for i, worker in ipairs(workers) do
  workers[i] = base .. ':worker:' .. worker .. ':inbox'
  types[workers[i]] = 'list'
end
bad = expect_types(types)
if bad then
  return bad
end
for _, inbox in ipairs(workers) do
  redis.call('RPUSH', inbox, 'verify ' .. now_text .. ' ' .. ARGV[2])
  redis.call('EXPIRE', inbox, '60')
end
return { now_text, int(#workers) }

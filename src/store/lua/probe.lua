#!lua flags=allow-oom
-- Purpose: have a provider of language models looked at now: its turn is taken away, and workers are told.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 provider
-- Returns: now ms, number of workers told
-- Guarantee: tells 100 workers at most; what a probe finds that was under way is not recorded any more (`probed`).
local workers_key, turn = base .. ':workers', base .. ':llm:probe:' .. ARGV[2]
local bad = expect_types({ [workers_key] = 'zset', [turn] = 'string' })
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
redis.call('DEL', turn)
for _, inbox in ipairs(workers) do
  redis.call('RPUSH', inbox, 'probe ' .. ARGV[2])
  redis.call('EXPIRE', inbox, '60')
end
return { now_text, int(#workers) }

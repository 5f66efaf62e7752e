#!lua flags=allow-oom
-- Purpose: record what a probe of a provider of language models found.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 provider, 3 holder of the turn, 4 life of the record (s), 5 what was found, then at most one list of
--       models
-- Returns: 1 recorded, 0 the turn is no longer the holder's
-- Guarantee: an older probe never replaces what a newer one found; a breaker is not touched.
local turn, health = base .. ':llm:probe:' .. ARGV[2], base .. ':llm:health:' .. ARGV[2]
local bad = expect_types({ [turn] = 'string', [health] = 'hash' })
if bad then
  return bad
end
if redis.call('GET', turn) ~= ARGV[3] then
  return 0
end
if ARGV[6] then
  redis.call('HSET', health, 'seen', ARGV[5], 'models', ARGV[6])
else
  redis.call('HSET', health, 'seen', ARGV[5])
  redis.call('HDEL', health, 'models')
end
redis.call('EXPIRE', health, ARGV[4])
return 1

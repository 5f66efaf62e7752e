#!lua flags=allow-oom
-- Purpose: tell one live worker process something: to claim no more, to claim again, or to stop.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 worker, 3 order, 4 by
-- Returns: now ms, 1 when it is in the inbox of a live worker and 0 when no such worker lives, its description or ''
-- Guarantee: changes nothing but the inbox, which is gone a minute after its last message.
local workers, worker = base .. ':workers', base .. ':worker:' .. ARGV[2]
local bad = expect_types({ [workers] = 'zset', [worker] = 'hash', [worker .. ':inbox'] = 'list' })
if bad then
  return bad
end
local until_ms = redis.call('ZSCORE', workers, ARGV[2])
if not until_ms or tonumber(until_ms) < now then
  return { now_text, 0, '' }
end
redis.call('RPUSH', worker .. ':inbox', ARGV[3] .. ' ' .. ARGV[4])
redis.call('EXPIRE', worker .. ':inbox', '60')
return { now_text, 1, redis.call('HGET', worker, 'about') or '' }

#!lua
-- Purpose: store the latest progress document of a running attempt.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 events kept, 3 id, 4 attempt_id, 5 attempt number, 6 document (JSON, 4 KiB at most)
-- Returns: 1 stored, 0 stale
-- Guarantee: a stale attempt changes nothing.
local bad = expect_types({ [qkey('running')] = 'zset', [base .. ':progress'] = 'hash', [base .. ':events'] = 'stream' })
if bad then
  return bad
end
if not redis.call('ZSCORE', qkey('running'), ARGV[3] .. ':' .. ARGV[4]) then
  return 0
end
redis.call('HSET', base .. ':progress', ARGV[3], ARGV[6])
event(ARGV[3] .. ':' .. ARGV[4], 'p' .. ARGV[5] .. ' ')
flush_events(ARGV[2])
return 1

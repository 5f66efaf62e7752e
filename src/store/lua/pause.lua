#!lua flags=allow-oom
-- Purpose: pause a queue, a type or a workspace in it, or close the queue's intake.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 what: q (queue), drain (intake), t:<type>, w:<workspace>; 3 by, 4 reason
-- Returns: 1
-- Guarantee: jobs stay where they are; a claim that meets one of a paused kind parks it.
local bad = expect_types({ [qkey('blocked')] = 'hash', [base .. ':queues'] = 'set' })
if bad then
  return bad
end
redis.call('HSETNX', qkey('blocked'), ARGV[2], now_text .. '\t' .. ARGV[3] .. '\t' .. ARGV[4])
redis.call('SADD', base .. ':queues', queue)
return 1

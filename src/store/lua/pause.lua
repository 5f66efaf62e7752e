#!lua flags=allow-oom
-- Purpose: pause a queue, a type or a workspace in it, or close the queue's intake.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 what: q (queue), drain (intake), t:<type>, w:<workspace>; 3 by, 4 reason,
--       5 deadline of a drain (ms since the epoch) or '', 6 what becomes of what is left then
-- Returns: 1 when it was switched off by this call, 0 when it was before; the record in force
-- Guarantee: jobs stay where they are; a claim that meets one of a paused kind parks it. The first record stays.
local blocked = qkey('blocked')
local bad = expect_types({ [blocked] = 'hash', [base .. ':queues'] = 'set' })
if bad then
  return bad
end
local record = now_text .. '\t' .. ARGV[3] .. '\t' .. ARGV[4]
if ARGV[5] ~= '' then
  record = record .. '\t' .. ARGV[5] .. '\t' .. ARGV[6]
end
local first = redis.call('HSETNX', blocked, ARGV[2], record)
redis.call('SADD', base .. ':queues', queue)
return { first, redis.call('HGET', blocked, ARGV[2]) }

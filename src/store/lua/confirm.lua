#!lua flags=allow-oom
-- Purpose: a write after everything that was answered so far, so that a WAIT behind it covers all of that: an answer
--          that repeats an older one wrote nothing itself.
-- KEYS: 1 <base>:jobs
-- ARGV: none
-- Returns: 1
-- Guarantee: always replicated, also while Redis is full.
redis.call('SET', string.sub(KEYS[1], 1, -6) .. ':confirmed', redis.call('TIME')[1], 'EX', '60')
return 1

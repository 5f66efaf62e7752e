#!lua flags=allow-oom
-- Purpose: put back a wake-up token that its taker cannot use (it is full, or stopping).
-- Uses: base line settle
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue
-- Returns: 1
-- Guarantee: never more tokens than live workers; a token promises nothing.
ring()
return 1

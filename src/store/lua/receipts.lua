#!lua flags=no-writes
-- Purpose: what is on record of a job's effects.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 id, 3 hour of its done record or ''
-- Returns: now ms, epoch, lines
-- Guarantee: one moment.
local key = base .. ':effects' .. (ARGV[3] == '' and '' or ':' .. ARGV[3])
return { now_text, redis.call('GET', base .. ':epoch') or '', redis.call('HGET', key, ARGV[2]) or '' }

#!lua flags=allow-oom
-- Purpose: set for a while what every process logs, or end that.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 directives, or '' to end it, 3 for how many ms, 4 by whom
-- Returns: now ms, until when in ms or ''
-- Guarantee: it stands beside the rules for actions, where every process looks anyhow, and names its end by this clock.
local key = base .. ':policy'
local bad = expect_types({ [key] = 'hash' })
if bad then
  return bad
end
if ARGV[2] == '' then
  redis.call('HDEL', key, 'log')
  return { now_text, '' }
end
local ends = int(now + tonumber(ARGV[3]))
redis.call('HSET', key, 'log', ends .. '\t' .. ARGV[2] .. '\t' .. ARGV[4])
return { now_text, ends }

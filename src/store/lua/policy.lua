#!lua flags=allow-oom
-- Purpose: write or remove documents of rules for actions, with the revision that they make.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue (any), 2 the new revision, or '' to leave it, 3 n (at most 100), then n times 2: workspace or `*`, and
--       the document, or '' to remove it
-- Returns: 1
-- Guarantee: revision and documents change as one, so that who knows the revision knows the rules.
local key = base .. ':policy'
local bad = expect_types({ [key] = 'hash' })
if bad then
  return bad
end
for at = 4, 2 + 2 * tonumber(ARGV[3]), 2 do
  if ARGV[at + 1] == '' then
    redis.call('HDEL', key, ARGV[at])
  else
    redis.call('HSET', key, ARGV[at], ARGV[at + 1])
  end
end
if ARGV[2] ~= '' then
  redis.call('HSET', key, 'rev', ARGV[2])
end
return 1

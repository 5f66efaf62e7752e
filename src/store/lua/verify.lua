#!lua flags=allow-oom
-- Purpose: have a credential checked now: workers are told, and one of them does it.
-- Uses: base tell
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 workspace/name
-- Returns: now ms, number of workers told
-- Guarantee: tells 100 workers at most, and changes nothing else.
local bad = expect_types({ [base .. ':workers'] = 'zset' })
if bad then
  return bad
end
local inboxes
inboxes, bad = live_inboxes()
if bad then
  return bad
end
return { now_text, tell(inboxes, 'verify ' .. now_text .. ' ' .. ARGV[2]) }

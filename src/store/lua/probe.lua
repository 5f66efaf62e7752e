#!lua flags=allow-oom
-- Purpose: have a provider of language models looked at now: its turn is taken away, and workers are told.
-- Uses: base tell
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 provider
-- Returns: now ms, number of workers told
-- Guarantee: tells 100 workers at most; what a probe finds that was under way is not recorded any more (`probed`).
local turn = base .. ':llm:probe:' .. ARGV[2]
local bad = expect_types({ [base .. ':workers'] = 'zset', [turn] = 'string' })
if bad then
  return bad
end
local inboxes
inboxes, bad = live_inboxes()
if bad then
  return bad
end
redis.call('DEL', turn)
return { now_text, tell(inboxes, 'probe ' .. ARGV[2]) }

#!lua
-- Purpose: give a dead, cancelled or expired job another life; attempts start anew, the last failure and
-- what is on record of effects stay.
-- Uses: base record times line park place settle effects close aside revive
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 events kept, 3 seconds a key outlives its job, 4 id, 5 done bucket or ''
-- Returns: p pending again, s superseded followed by the other id, n nothing to redrive
-- Guarantee: takes the idempotency key anew, or changes nothing.
local id, hour = ARGV[4], ARGV[5]
local types, seldom = ending_types()
types[base .. ':done:' .. hour], types[effects_key .. ':' .. hour] = 'hash', 'hash'
local bad = expect_types(types, seldom)
if bad then
  return bad
end
local was = ended_job(id, hour)
local h = header(was and was.record or '')
if h.queue ~= queue then
  return 'n'
end
local lists = {}
local answer = revive(id, h, was, ARGV[3], lists)
if answer ~= 'p' then
  return answer
end
place(h.band, lists[h.band])
count('redriven', 1)
if settle() > 0 then
  ring()
end
flush_events(ARGV[2])
return 'p'

#!lua flags=allow-oom
-- Purpose: end up to 100 attempts without claiming: a stopping worker gives back what it cannot finish.
-- Uses: base | record line park | place leave settle | effects close aside due finish finish_batch |
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 events kept, 3 seconds a key outlives its job, 4 done retention (s), 5 n, then what `finish` reads
-- Returns: a reply per item: 1 done, 2 done before by this attempt, 0 stale
-- Guarantee: a stale attempt changes nothing.
local bad = expect_types(ending_types())
if bad then
  return bad
end
local replies, sooner = finish(6, tonumber(ARGV[5]), ARGV[3])
flush_closed(ARGV[3], ARGV[4])
if settle() > 0 or sooner then
  ring()
end
flush_events(ARGV[2])
return replies

#!lua flags=allow-oom
-- Purpose: end up to 100 attempts of this worker and claim its next jobs, in one call.
-- Uses: base | record times line park | place leave settle | effects close aside due reap | finish finish_batch claim claim_record claim_batch serve |
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 events kept, 3 seconds a key outlives its job, 4 done retention (s), 5 want, 6 worker, 7 attempt_id,
--       8 lease ms, 9 may take a suspect (1/0), 10 may reap (1/0), 11 types joined by a space, 12 n, then what `finish` reads
-- Returns: now ms (/ entry), ms until more is due or -1, 1 if jobs wait for another kind of worker, replies, entry of a first
--       attempt, id/entry list of others, id/record list
-- Guarantee: a stale attempt changes nothing; each claimed job has one lease, fenced by attempt_id.
local bad = expect_types(ending_types())
if bad then
  return bad
end
-- Reports first: one whose lease ran out a moment ago is still good, and what it made due counts.
local replies, sooner = finish(13, tonumber(ARGV[12]), ARGV[3])
local due = tend(ARGV[10] == '1', ARGV[3], ARGV[4])
return serve(due, replies, sooner)

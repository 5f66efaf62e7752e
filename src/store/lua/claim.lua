#!lua flags=allow-oom
-- Purpose: claim jobs for a worker that has nothing to report.
-- Uses: base | record times line park | place leave settle | effects close aside due reap | claim claim_record claim_batch serve |
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 events kept, 3 seconds a key outlives its job, 4 done retention (s), 5 want, 6 worker, 7 attempt_id,
--       8 lease ms, 9 may take a suspect (1/0), 10 may reap (1/0), 11 types joined by a space
-- Returns: now ms (/ entry), ms until more is due or -1, 1 if jobs wait for another kind of worker, {}, entry of a first
--       attempt, id/entry list of others, id/record list
-- Guarantee: each claimed job has one lease, fenced by attempt_id.
local bad = expect_types(ending_types())
if bad then
  return bad
end
local due = tend(ARGV[10] == '1', ARGV[3], ARGV[4])
return serve(due, {}, false)

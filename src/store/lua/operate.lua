#!lua flags=allow-oom
-- Purpose: a step of a bulk operation that takes up to 100 jobs from where they are: cancel, hold, release or discard.
-- Uses: base record times line park | place leave settle | effects close aside revive | part sift withdraw let_go shelve forget step step_end
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 events kept, 3 seconds a key outlives its job, 4 done retention (s), then as `step` says
-- Returns: 1 done or 0 refused, and the operation's part on this shard (flat)
-- Guarantee: only the step that is next changes anything, so each is made once, and only for who carries the operation
--            on since it was last stopped; a job that is not what the filter names any more is skipped, and counted so.
local RELEASED = { operator = true, needs_reauth = true, actions_disabled = true }
local answer = refused()
if answer then
  return answer
end
if #ARGV < FIRST then
  return end_step(0)
end
local types, seldom = ending_types()
local bad = expect_types(types, seldom)
if bad then
  return bad
end
local jobs, inboxes, lists, later, done = jobs_of_step(), {}, {}, {}, 0
for _, job in ipairs(jobs) do
  if job.state == 'r' then
    inboxes[inbox_of(job.e)] = 'list'
  end
end
bad = expect_types(inboxes)
if bad then
  return bad
end
local act = {}
function act.cancel(job)
  withdraw(job.id, job.record, job.h, job.e)
  count('cancelled', 1)
end
function act.hold(job)
  shelve(job.id, job.record, job.h, job.e)
end
function act.release(job)
  if not RELEASED[job.e.extra] then
    return 'needs_decision'
  end
  local _, expires = times_of(job.id, job.record)
  let_go(job.id, job.record, job.h, job.e, expires, ARGV[14], ARGV[3], lists, later)
end
function act.discard(job)
  local key = idem_key(job.h.ws, request_of(job.record))
  if string.sub(redis.call('GET', key) or '', 1, 22) == job.id then
    redis.call('DEL', key)
  end
  forget(job.id, job.e)
end
local states = { cancel = 'wSrh', hold = 'wS', release = 'h', discard = 'd' }
for _, job in ipairs(jobs) do
  local fits = job.state and string.find(states[ARGV[8]], job.state, 1, true)
  local why = not fits and 'wrong_state' or act[ARGV[8]](job)
  if why then
    skip(job.id, why)
  else
    done = done + 1
  end
end
for band, list in pairs(lists) do
  place(band, list)
end
local sooner = schedule(later)
flush_closed(ARGV[3], ARGV[4])
if settle() > 0 or sooner then
  ring()
end
flush_events(ARGV[2])
return end_step(done)

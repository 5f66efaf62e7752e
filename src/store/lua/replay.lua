#!lua
-- Purpose: a step of a bulk operation that puts up to 100 jobs into a line they were not in: redrive or move.
-- Uses: base record times line park | place leave settle | effects close aside revive | part sift shift step transfer step_end
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue ('-' any, in a bucket), 2 events kept, 3 seconds a key outlives its job, 4 done retention (s), then as
--       `step` says
-- Returns: 1 done or 0 refused, and the operation's part on this shard (flat)
-- Guarantee: only the step that is next changes anything, so each is made once, and only for who carries the operation
--            on since it was last stopped; a job that is not what the filter names any more is skipped, and counted so.
--            A full Redis refuses it whole.
local home, hour, target, done, groups = queue, ARGV[11], ARGV[12], 0, {}
local answer = refused()
if answer then
  return answer
end
if #ARGV < FIRST then
  forget_met()
  return end_step(0)
end
local function checked()
  local types, seldom = ending_types()
  types[base .. ':done:' .. hour], types[effects_key .. ':' .. hour] = 'hash', 'hash'
  return expect_types(types, seldom)
end
local bad = checked()
if bad then
  return bad
end
local jobs = jobs_of_step()
for _, job in ipairs(jobs) do
  local name = job.h and job.h.queue or home
  groups[name] = groups[name] or {}
  table.insert(groups[name], job)
end
for name in pairs(ARGV[8] == 'move' and { [target] = true } or groups) do
  if name ~= home then
    turn_to(name)
    bad = checked()
    if bad then
      return bad
    end
  end
end

forget_met()
local function redrive(name, group)
  turn_to(name)
  local lists, n = {}, 0
  for _, job in ipairs(group) do
    local was = job.was or (job.state == 'd' and ended_job(job.id, ''))
    local found = was and revive(job.id, job.h, was, ARGV[3], lists) or 'n'
    if found == 'p' then
      n = n + 1
    else
      skip(job.id, found == 'n' and 'wrong_state' or 'superseded')
    end
  end
  count('redriven', n)
  land(lists, {})
  return n
end

if ARGV[8] == 'move' then
  done = move(home, target, ARGV[13], jobs)
else
  for name, group in pairs(groups) do
    done = done + redrive(name, group)
  end
end
flush_events(ARGV[2])
return end_step(done)

#!lua flags=allow-oom
-- Purpose: cancel a job wherever it is; a running attempt loses its lease and its worker is told.
-- Uses: base record line park place leave settle effects close aside withdraw
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 events kept, 3 seconds a key outlives its job, 4 done retention (s), 5 id, 6 what it has to be held
--       for or '', 7 the failure that it ends with, if it has to be held
-- Returns: c cancelled now, d dead already, n not a live job, o not held for that
-- Guarantee: once cancelled no attempt starts and no write of a running one is accepted.
local id = ARGV[5]
local bad = expect_types(ending_types())
if bad then
  return bad
end
local record = redis.call('HGET', jobs_key, id)
if not record then
  return 'n'
end
local h, e = header(record), entry_of(redis.call('HGET', attempts_key, id))
if h.queue ~= queue then
  return 'n'
end
if e.state == 'd' then
  return 'd'
end
if ARGV[6] ~= '' then
  if e.state ~= 'h' or e.extra ~= ARGV[6] then
    return 'o'
  end
  e.failure = ARGV[7]
end
bad = e.state == 'r' and expect_types({ [inbox_of(e)] = 'list' })
if bad then
  return bad
end
withdraw(id, record, h, e)
flush_closed(ARGV[3], ARGV[4])
count('cancelled', 1)
if settle() > 0 then
  ring()
end
flush_events(ARGV[2])
return 'c'

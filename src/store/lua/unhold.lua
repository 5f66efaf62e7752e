#!lua flags=allow-oom
-- Purpose: a decision about a held job: it is on record, and the job is in line again.
-- Uses: base record times line park place settle effects aside let_go
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 events kept, 3 seconds a key outlives its job, 4 id, 5 what it has to be held for or '',
--       6 attempts of a job whose record names none, 7 release, happened, not_happened or approved, 8 by,
--       9 step or digest, 10 receipt or until when it holds (ms)
-- Returns: p in line again, n not a held job of this queue, r followed by what it is held for
-- Guarantee: once; a repeat answers n. At least one more attempt begins, unless the job's time in line is over: that is
--            as it was, but a job whose effect happened gets more, so that it can end as what it is.
local id, what, by = ARGV[4], ARGV[7], ARGV[8]
local types, seldom = line_types()
types[base .. ':epoch'], seldom[effects_key], seldom[qkey('held')] = 'string', 'hash', 'zset'
local bad = expect_types(types, seldom)
if bad then
  return bad
end
local record = redis.call('HGET', jobs_key, id)
local h, e = header(record or ''), entry_of(redis.call('HGET', attempts_key, id))
if h.queue ~= queue or e.state ~= 'h' then
  return 'n'
elseif ARGV[5] ~= '' and ARGV[5] ~= e.extra then
  return 'r' .. e.extra
end
local created, expires = times_of(id, record)
if what == 'not_happened' then
  drop_intents(id)
elseif what ~= 'release' then
  local text, approved = effects_of(id), what == 'approved'
  local step = approved and '*approval' or ARGV[9]
  local known = effect_of(text, step) or { class = approved and '' or 'once', first = now_text }
  put_effect(id, text, {
    step = step, state = 'd', class = known.class, attempt = int(e.attempt), token = '', by = by,
    first = approved and ARGV[10] or known.first, document = approved and ARGV[9] or ARGV[10],
  })
  if not approved and expires < now + IN_LINE then
    expires = now + IN_LINE
    record = with_times(record, created, expires)
    redis.call('HSET', jobs_key, id, record)
  end
end
local lists, later = {}, {}
let_go(id, record, h, e, expires, ARGV[6], ARGV[3], lists, later)
for band, list in pairs(lists) do
  place(band, list)
end
local sooner = schedule(later)
if settle() > 0 or sooner then
  ring()
end
flush_events(ARGV[2])
return 'p'

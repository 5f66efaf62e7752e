#!lua
-- Purpose: give a dead, cancelled or expired job another life; attempts start anew, the last failure and
-- what is on record of effects stay.
-- Uses: base record times line park place settle effects close aside
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 events kept, 3 seconds a key outlives its job, 4 id, 5 done bucket or ''
-- Returns: p pending again, s superseded followed by the other id, n nothing to redrive
-- Guarantee: takes the idempotency key anew, or changes nothing.
local id = ARGV[4]
local bucket, types, seldom = base .. ':done:' .. ARGV[5], ending_types()
local kept = effects_key .. ':' .. ARGV[5]
types[bucket], types[kept] = 'hash', 'hash'
local bad = expect_types(types, seldom)
if bad then
  return bad
end
local record, failure = redis.call('HGET', jobs_key, id), ''
local label = nil
if record then
  local e = entry_of(redis.call('HGET', attempts_key, id))
  if e.state ~= 'd' then
    return 'n'
  end
  label, failure = string.match(e.extra, '^%d+ (.*)$'), e.failure
else
  local done = ARGV[5] ~= '' and redis.call('HGET', bucket, id) or ''
  local letter, last, kept = string.match(done, '^(%a)[^\n]*\n([^\n]*)\n[^\n]*\n[^\n]*\n(.*)$')
  if letter ~= 'c' and letter ~= 'e' then
    return 'n'
  end
  record, failure = kept, last
end
local h = header(record)
if h.queue ~= queue then
  return 'n'
end
local key, print = idem_key(h.ws, request_of(record)), string.match(record, '^[^\t]+\t[^\t]+\t([^\t]*)\t')
local ttl = int(IN_LINE / 1000 + tonumber(ARGV[3]))
if not redis.call('SET', key, id .. print, 'NX', 'EX', ttl) then
  local owner = string.sub(redis.call('GET', key), 1, 22)
  if owner ~= id then
    return 's' .. owner
  end
  redis.call('EXPIRE', key, ttl)
end
redis.call('HSET', jobs_key, id, with_times(record, times_of(id, record), now + IN_LINE))
redis.call('HSET', attempts_key, id, 'w\t0\t0\t\t\t\t' .. now_text .. '\n' .. failure)
if label then
  redis.call('ZREM', qkey('dead'), id)
  count_dead((string.gsub(label, ' ', '\t')), id, -1)
else
  redis.call('HDEL', bucket, id)
  local effects = redis.call('HGET', kept, id)
  if effects then
    redis.call('HSET', effects_key, id, effects)
    redis.call('HDEL', kept, id)
  end
end
redis.call('HDEL', base .. ':progress', id)
place(h.band, { id, h.ws, h.kind, false, n = 4 })
count('redriven', 1)
event(id, 'P0 ')
if settle() > 0 then
  ring()
end
flush_events(ARGV[2])
return 'p'

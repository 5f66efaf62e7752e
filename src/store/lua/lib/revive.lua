-- Another life for a job that ended: a dead one, or one that was cancelled or expired.

-- What ended, nil if nothing did: its record, last failure, state letter and since when; the label of a dead one, the
-- bucket (an hour) of another.
local function ended_job(id, hour)
  local record = redis.call('HGET', jobs_key, id)
  if record then
    local e = entry_of(redis.call('HGET', attempts_key, id))
    local since, label = string.match(e.extra, '^(%d+) (.*)$')
    if e.state == 'd' then
      return { record = record, failure = e.failure, state = 'd', since = tonumber(since), label = label, e = e }
    end
    return nil
  end
  local done = hour ~= '' and redis.call('HGET', base .. ':done:' .. hour, id) or ''
  local letter, at, failure, kept = string.match(done, '^(%a)\t(%d+)[^\n]*\n([^\n]*)\n[^\n]*\n[^\n]*\n(.*)$')
  if letter == 'c' or letter == 'e' then
    return { record = kept, failure = failure, state = letter, since = tonumber(at), hour = hour }
  end
end

-- Its attempts start anew; the last failure and what is on record of effects stay. `was`: as `ended_job` found it.
-- Returns p in `lists` to be placed, or s followed by the other job that has its request, and changes nothing.
local function revive(id, h, was, outlives, lists)
  local record = was.record
  local key, print = idem_key(h.ws, request_of(record)), string.match(record, '^[^\t]+\t[^\t]+\t([^\t]*)\t')
  local ttl = int(IN_LINE / 1000 + tonumber(outlives))
  if not redis.call('SET', key, id .. print, 'NX', 'EX', ttl) then
    local owner = string.sub(redis.call('GET', key), 1, 22)
    if owner ~= id then
      return 's' .. owner
    end
    redis.call('EXPIRE', key, ttl)
  end
  redis.call('HSET', jobs_key, id, with_times(record, times_of(id, record), now + IN_LINE))
  redis.call('HSET', attempts_key, id, 'w\t0\t0\t\t\t\t' .. now_text .. '\n' .. was.failure)
  if was.state == 'd' then
    redis.call('ZREM', qkey('dead'), id)
    if was.label then
      count_dead((string.gsub(was.label, ' ', '\t')), id, -1)
    end
  else
    redis.call('HDEL', base .. ':done:' .. was.hour, id)
    local kept = effects_key .. ':' .. was.hour
    local effects = redis.call('HGET', kept, id)
    if effects then
      redis.call('HSET', effects_key, id, effects)
      redis.call('HDEL', kept, id)
    end
  end
  redis.call('HDEL', base .. ':progress', id)
  lists[h.band] = lists[h.band] or {}
  enlist(lists[h.band], id, h.ws, h.kind, false)
  event(id, 'P0 ')
  return 'p'
end

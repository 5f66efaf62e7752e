-- Terminal transitions: the record moves to the hour's bucket, the idempotency key gets its last TTL.
local done_values, closed_ids, closed_keys, closed = {}, {}, {}, 0

local function ending_types()
  local types, seldom = line_types()
  types[base .. ':done:' .. int(math.floor(now / 3600000))], types[base .. ':workers'] = 'hash', 'zset'
  seldom[base .. ':progress'], seldom[base .. ':dead:groups'] = 'hash', 'hash'
  seldom[qkey('dead')], seldom[qkey('held')] = 'zset', 'zset'
  return types, seldom
end

-- Collects one terminal job. `done`: letter \t time \t attempt \t crashes \t started \t attempt_id, \n,
-- failure \n progress \n result \n record. `what`: letter, attempt and a blank. `member`: the lease that ended, if one did.
local function close(id, what, key, done, member)
  closed = closed + 1
  closed_ids[closed], closed_keys[closed] = id, key
  done_values[2 * closed - 1], done_values[2 * closed] = id, done
  event(member or id, what)
end

local function close_unfinished(id, letter, e, record)
  local h, attempt = header(record), int(e.attempt)
  local progress = redis.call('HGET', base .. ':progress', id) or ''
  local facts = attempt .. '\t' .. int(e.crashes) .. '\t' .. e.started .. '\t' .. e.token
  local done = letter .. '\t' .. now_text .. '\t' .. facts .. '\n' .. e.failure .. '\n' .. progress .. '\n\n' .. record
  close(id, letter .. attempt .. ' ', idem_key(h.ws, request_of(record)), done)
end

-- Writes what was collected. `ttl` is the life of an idempotency key after its job, in seconds.
local function flush_closed(ttl, retention)
  if closed == 0 then
    return
  end
  local bucket = base .. ':done:' .. int(math.floor(now / 3600000))
  local added = redis.call('HSET', bucket, unpack(done_values))
  if redis.call('HLEN', bucket) == added then
    redis.call('EXPIRE', bucket, int(tonumber(retention) + 3600))
  end
  redis.call('HDEL', jobs_key, unpack(closed_ids))
  redis.call('HDEL', attempts_key, unpack(closed_ids))
  if redis.call('EXISTS', base .. ':progress') == 1 then
    redis.call('HDEL', base .. ':progress', unpack(closed_ids))
  end
  -- EXPIRE rewrites itself to this for replicas and the file, which costs more than it does.
  local ends = int(now + 1000 * tonumber(ttl))
  for _, key in ipairs(closed_keys) do
    redis.call('PEXPIREAT', key, ends)
  end
end

-- Adds n to a group of dead letters (n = -1 on redrive). `label` is type \t fingerprint \t reason.
local function count_dead(label, id, n)
  local key = base .. ':dead:groups'
  local kind, print, reason = string.match(label, '^([^\t]*)\t([^\t]*)\t(.*)$')
  local field = queue .. '\t' .. kind .. '\t' .. print
  local total, first, last, sample = string.match(redis.call('HGET', key, field) or '', '^(%d+)\t(%d+)\t(%d+)\t([^\t]*)')
  total = (tonumber(total) or 0) + n
  if total <= 0 then
    redis.call('HDEL', key, field)
    return
  end
  if n > 0 then
    last, sample = now_text, id
  end
  redis.call('HSET', key, field, int(total) .. '\t' .. (first or now_text) .. '\t' .. last .. '\t' .. sample .. '\t' .. reason)
end

-- A job that is given up on keeps its record in ai:jobs, for 30 days and for redrive.
local function bury(id, entry, key, label, ttl, member)
  entry.state, entry.extra = 'd', now_text .. ' ' .. string.gsub(label, '\t', ' ')
  redis.call('HSET', attempts_key, id, entry_text(entry))
  redis.call('ZADD', qkey('dead'), now_text, id)
  redis.call('EXPIRE', key, ttl)
  count_dead(label, id, 1)
  count('dead', 1)
  event(member or id, 'd' .. int(entry.attempt) .. ' ')
end

-- Terminal transitions: the record moves to the hour's bucket, the idempotency key gets its last TTL.
local done_values, closed_ids, closed_keys = {}, {}, {}

local function ending_types()
  local types = line_types()
  types[base .. ':done:' .. int(math.floor(now / 3600000))] = 'hash'
  types[base .. ':progress'], types[base .. ':dead:groups'] = 'hash', 'hash'
  types[qkey('dead')], types[qkey('held')], types[base .. ':workers'] = 'zset', 'zset', 'zset'
  return types
end

-- Collects one terminal job. `facts` is attempt \t crashes \t started \t attempt_id; `tail` follows
-- the header line of the done record.
local function close(id, letter, facts, key, tail)
  done_values[#done_values + 1] = id
  done_values[#done_values + 1] = letter .. '\t' .. now_text .. '\t' .. facts .. '\n' .. tail
  closed_ids[#closed_ids + 1] = id
  closed_keys[#closed_keys + 1] = key
  event(id, letter, string.match(facts, '^%d+'))
end

-- failure \n progress \n result \n record: the tail of a job that did not succeed.
local function close_unfinished(id, letter, entry, record)
  local h = header(record)
  local progress = redis.call('HGET', base .. ':progress', id) or ''
  local facts = int(entry.attempt) .. '\t' .. int(entry.crashes) .. '\t' .. entry.started .. '\t' .. entry.token
  close(id, letter, facts, idem_key(h.ws, request_of(record)), entry.failure .. '\n' .. progress .. '\n\n' .. record)
end

-- Writes what was collected. `ttl` is the life of an idempotency key after its job, in seconds.
local function flush_closed(ttl, retention)
  if #closed_ids == 0 then
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
  for _, key in ipairs(closed_keys) do
    redis.call('EXPIRE', key, ttl)
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
local function bury(id, entry, key, label, ttl)
  entry.state, entry.extra = 'd', now_text .. ' ' .. string.gsub(label, '\t', ' ')
  redis.call('HSET', attempts_key, id, entry_text(entry))
  redis.call('ZADD', qkey('dead'), now_text, id)
  redis.call('EXPIRE', key, ttl)
  count_dead(label, id, 1)
  count('dead', 1)
  event(id, 'd', int(entry.attempt))
end

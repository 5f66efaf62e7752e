-- Terminal transitions: the record moves to the hour's bucket, the idempotency key gets its last TTL. What is on record
-- of effects goes with a success, and otherwise moves to a bucket beside it: a redriven job has to find it.
local done_values, closed_ids, closed_keys, kept_effects, closed = {}, {}, {}, {}, 0

local function ending_types()
  local types, seldom = line_types()
  types[base .. ':done:' .. int(math.floor(now / 3600000))], types[base .. ':workers'] = 'hash', 'zset'
  seldom[base .. ':progress'], seldom[base .. ':dead:groups'] = 'hash', 'hash'
  seldom[effects_key], seldom[effects_key .. ':' .. int(math.floor(now / 3600000))] = 'hash', 'hash'
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
  local effects = not absent[effects_key] and effects_of(id) or ''
  if effects ~= '' then
    kept_effects[#kept_effects + 1], kept_effects[#kept_effects + 2] = id, effects
  end
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
  if redis.call('EXISTS', base .. ':progress', effects_key) > 0 then
    redis.call('HDEL', base .. ':progress', unpack(closed_ids))
    redis.call('HDEL', effects_key, unpack(closed_ids))
  end
  if #kept_effects > 0 then
    local kept = effects_key .. ':' .. int(math.floor(now / 3600000))
    redis.call('HSET', kept, unpack(kept_effects))
    redis.call('PEXPIRE', kept, int(redis.call('PTTL', bucket)))
  end
  -- EXPIRE rewrites itself to this for replicas and the file, which costs more than it does.
  local ends = int(now + 1000 * tonumber(ttl))
  for _, key in ipairs(closed_keys) do
    redis.call('PEXPIREAT', key, ends)
  end
end

-- What became due: scheduled jobs enter the line, expired ones leave it, orphans come back.
-- No process owns this: every claim does a bounded part of it first.
local scheduled_key, running_key, expiring_key = qkey('scheduled'), qkey('running'), qkey('expiring')
local DUE_LIMIT = '100'

local function first_score(key)
  return tonumber(redis.call('ZRANGE', key, '0', '0', 'WITHSCORES')[2])
end

-- The ids due in `key`, their records and entries.
local function take_due(key)
  local members = redis.call('ZRANGEBYSCORE', key, '-inf', now_text, 'LIMIT', '0', DUE_LIMIT)
  local ids = {}
  for i, member in ipairs(members) do
    ids[i] = string.sub(member, 1, 22)
  end
  local records = redis.call('HMGET', jobs_key, unpack(ids))
  local entries = redis.call('HMGET', attempts_key, unpack(ids))
  redis.call('ZREM', key, unpack(members))
  return ids, records, entries, members
end

local function place_all(lists)
  for band, list in pairs(lists) do
    place(band, list)
  end
end

local function add_to(lists, h, id, retry)
  lists[h.band] = lists[h.band] or {}
  table.insert(lists[h.band], { id = id, ws = h.ws, kind = h.kind, retry = retry })
end

local function promote()
  local ids, records, entries = take_due(scheduled_key)
  local lists = {}
  for i, id in ipairs(ids) do
    if records[i] then
      add_to(lists, header(records[i]), id, entries[i] ~= false)
      event(id, 'P', string.match(entries[i] or '', '^%a\t(%d+)') or '0')
    end
  end
  place_all(lists)
end

local function expire_due(ttl, retention)
  local ids, records, entries = take_due(expiring_key)
  for i, id in ipairs(ids) do
    if records[i] then
      if unline(id, header(records[i])) or redis.call('ZREM', scheduled_key, id) == 1 then
        close_unfinished(id, 'e', entry_of(entries[i]), records[i])
        count('expired', 1)
      end
    end
  end
end

-- Gives a lease's slot back to its workspace, if that has a cap.
local function free_slot(ws, member)
  load_limits({ [ws] = true })
  if limits[ws].cap and redis.call('SREM', qkey('slots:' .. ws), member) == 1 then
    slots[ws] = slots[ws] - 1
    unpark_capped(ws)
  end
end

-- Orphans. A lease of a worker that is still alive is one it never heard of (its claim's reply was
-- lost): nothing is charged. A dead worker's jobs have crashed with it; the third crash is poison.
local function reap(ttl)
  local ids, records, entries, members = take_due(running_key)
  local lists = {}
  count('lease_expiries', #ids)
  for i, id in ipairs(ids) do
    local record, e = records[i], entry_of(entries[i])
    if record then
      local h = header(record)
      local seen = tonumber(redis.call('ZSCORE', base .. ':workers', e.worker) or '0')
      e.attempt = math.max(e.attempt - 1, 0)
      if seen <= now then
        e.crashes = e.crashes + 1
      end
      free_slot(h.ws, members[i])
      if e.crashes >= 3 and seen <= now then
        e.failure = '{"reason":"poison","message":"crashed its worker process 3 times","at":' .. now_text .. '}'
        bury(id, e, idem_key(h.ws, request_of(record)), h.kind .. '\tpoison\tpoison', ttl)
      else
        e.state, e.extra = 'w', now_text
        redis.call('HSET', attempts_key, id, entry_text(e))
        add_to(lists, h, id, true)
        event(id, 'P', int(e.attempt))
      end
    end
  end
  place_all(lists)
end

-- Does a bounded part of what is due; returns milliseconds until more is, or -1.
local function tend(may_reap, ttl, retention)
  local deadline = first_score(running_key)
  if not deadline then
    -- One long member keeps the lease set out of the slow listpack form below 128 leases.
    redis.call('ZADD', running_key, '+inf', LONG)
  end
  local soonest = math.huge
  local steps = {
    { scheduled_key, true, promote }, { expiring_key, true, expire_due }, { running_key, may_reap, reap },
  }
  for _, step in ipairs(steps) do
    local due = first_score(step[1])
    if due and due <= now and step[2] then
      step[3](ttl, retention)
      due = first_score(step[1])
    end
    soonest = math.min(soonest, due or math.huge)
  end
  return soonest == math.huge and -1 or math.max(soonest - now, 0)
end

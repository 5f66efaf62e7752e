-- What became due: scheduled jobs enter the line, expired ones leave it, orphans come back.
-- No process owns this: every claim does a bounded part of it first.
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
  enlist(lists[h.band], id, h.ws, h.kind, retry)
end

local function promote()
  local ids, records, entries = take_due(scheduled_key)
  local lists = {}
  for i, id in ipairs(ids) do
    if records[i] then
      add_to(lists, header(records[i]), id, entries[i] ~= false)
      event(id, 'P' .. (string.match(entries[i] or '', '^%a\t(%d+)') or '0') .. ' ')
    end
  end
  place_all(lists)
end

local function expire_due(ttl, retention)
  local ids, records, entries = take_due(expiring_key)
  for i, id in ipairs(ids) do
    if records[i] then
      local h = header(records[i])
      local was_in_line = unline(id, h)
      if was_in_line then
        load_limits({ [h.ws] = true })
        unpark_capped(h.ws)
      end
      if was_in_line or redis.call('ZREM', scheduled_key, id) == 1 then
        close_unfinished(id, 'e', entry_of(entries[i]), records[i])
        count('expired', 1)
      end
    end
  end
end

-- Orphans. A lease of a worker that is still alive is one it never heard of (its claim's reply was
-- lost): nothing is charged. A dead worker's jobs have crashed with it; the third crash is poison.
-- A worker's last heartbeat may fall right behind a claim that it had no reply to yet. Then it is registered a moment
-- longer than the lease runs, and only after that moment is it known whether it died.
local function reap(ttl)
  local ids, records, entries, members = take_due(running_key)
  local lists, doubtful, doubt = {}, {}, tonumber(ARGV[8]) / 3
  for i, id in ipairs(ids) do
    local record, e = records[i], entry_of(entries[i])
    local seen = tonumber(redis.call('ZSCORE', base .. ':workers', e.worker) or '0')
    if record and seen > now and seen - now <= doubt then
      doubtful[#doubtful + 1], doubtful[#doubtful + 2] = int(seen), members[i]
    elseif record then
      local h = header(record)
      e.attempt, e.token = math.max(e.attempt - 1, 0), '' -- its report, should it come, is stale
      if seen <= now then
        e.crashes = e.crashes + 1
      end
      free_slot(h.ws, members[i])
      if e.crashes >= 3 and seen <= now then
        give_up(id, e, h, idem_key(h.ws, request_of(record)), ttl, members[i])
      else
        e.state, e.extra = 'w', now_text
        if seen <= now then
          e.failure = '{"reason":"crashed","message":"its worker process died","at":' .. now_text .. '}'
        end
        redis.call('HSET', attempts_key, id, entry_text(e))
        add_to(lists, h, id, true)
        event(members[i], 'P' .. int(e.attempt) .. ' ')
      end
    end
  end
  if #doubtful > 0 then
    redis.call('ZADD', running_key, unpack(doubtful))
  end
  count('lease_expiries', #ids - #doubtful / 2)
  place_all(lists)
end

-- Does a bounded part of what is due; returns milliseconds until more is, or -1.
local function tend(may_reap, ttl, retention)
  local deadline = first_score(running_key)
  if not deadline then
    -- One long member keeps the lease set out of the slow listpack form below 128 leases.
    redis.call('ZADD', running_key, '+inf', LONG)
  end
  if may_reap and deadline and deadline <= now then
    -- Who let its own registration run out was away, and so perhaps was everyone: first they renew.
    may_reap = tonumber(redis.call('ZSCORE', base .. ':workers', ARGV[6]) or '0') > now
  end
  local soonest = math.huge
  local steps = {
    { scheduled_key, true, promote }, { expiring_key, true, expire_due }, { running_key, may_reap, reap },
  }
  for _, step in ipairs(steps) do
    local due = deadline
    if step[1] ~= running_key then
      due = first_score(step[1])
    end
    if due and due <= now and step[2] then
      step[3](ttl, retention)
      due = first_score(step[1])
    end
    -- What this caller may not touch must not call it back at once.
    if due and (due > now or step[2]) then
      soonest = math.min(soonest, due)
    end
  end
  return soonest == math.huge and -1 or math.max(soonest - now, 0)
end

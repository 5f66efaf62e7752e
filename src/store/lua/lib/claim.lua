-- Claims up to `want` jobs: strict bands, but every 16th slot serves `low` first and the slot halfway between serves
-- `normal` first, so that neither starves. o: want, tail (of a lease's member), facts (of an entry), fresh (entry of a
-- first attempt), deadline, types (set), may_suspect. Returns id and record of each, and the entries that are not fresh.
local CLAIM_LOOK = 100
-- Crashes that make a suspect. Most first ones are a lost machine's, and its jobs must not wait for each other.
local SUSPECT = 2
local found, again, served, leases, entries_out, parks = {}, {}, {}, {}, {}, {}
local accepted, looked, took_suspect, fresh_waiting, made_room = 0, 0, false, false, false

local function set_aside(band, blocker, id)
  local lists = parks[band] or {}
  local list = lists[blocker] or {}
  parks[band], lists[blocker] = lists, list
  list[#list + 1], list[#list + 2] = redis.call('ZSCORE', qkey('order:' .. band), id), id
end

local function accept(o, id, record, text, ws)
  local member, entry, what, n = id .. o.tail, o.fresh, 'R1 ', 2 * accepted
  if text then
    local e = entry_of(text)
    local attempt = int(e.attempt + 1)
    what, entry = 'R' .. attempt .. ' ', 'r\t' .. attempt .. '\t' .. int(e.crashes) .. o.facts .. e.failure
    took_suspect = took_suspect or e.crashes >= SUSPECT
    again[#again + 1], again[#again + 2] = id, entry
  end
  found[n + 1], found[n + 2] = id, record
  leases[n + 1], leases[n + 2] = o.deadline, member
  entries_out[n + 1], entries_out[n + 2] = id, entry
  accepted = accepted + 1
  if any_limits and limits[ws].cap then
    redis.call('SADD', qkey('slots:' .. ws), member)
    slots[ws] = slots[ws] + 1
  end
  event(id, what)
end

-- What of a job a claim goes by.
local function look_at(ids)
  local records = redis.call('HMGET', jobs_key, unpack(ids))
  local wss, kinds, options, names = {}, {}, {}, {}
  for i, record in ipairs(records) do
    local ws, kind, option = string.match(record or '', '^([^\t]+)\t([^\t]+)\t[^\t]*\t(.)')
    if ws then -- what is no record leaves the line with the others looked at
      wss[i], kinds[i], options[i], names[ws] = ws, kind, option, true
    end
  end
  load_limits(names)
  return records, redis.call('HMGET', attempts_key, unpack(ids)), wss, kinds, options, names
end

local function consider(o, band, ids)
  local order, last, records, attempts, wss, kinds, options, names = qkey('order:' .. band), nil, look_at(ids)
  local open = unblocked()
  for i, id in ipairs(ids) do
    local ws, kind, entry = wss[i], kinds[i], attempts[i]
    if ws then
      local blocker = not open and blocker_of(ws, kind)
      local suspect = entry and tonumber(string.match(entry, '^%a\t%d+\t(%d+)')) >= SUSPECT
      local wait = blocker or (not o.types[kind] and 'o:' .. kind)
        or (suspect and (took_suspect or not o.may_suspect) and 's')
      if is_late(id, records[i], options[i]) then
        refund(band, ws)
        close_unfinished(id, 'e', entry_of(entry), records[i])
        count('expired', 1)
      elseif wait then
        set_aside(band, wait, id)
        fresh_waiting = fresh_waiting or not blocker
      else
        accept(o, id, records[i], entry, ws)
        last = id -- and of the highest tag
      end
    end
  end
  served[band] = last and math.max(served[band] or 0, tonumber(redis.call('ZSCORE', order, last))) or served[band]
  redis.call('ZREMRANGEBYRANK', order, '0', int(#ids - 1))
  -- A job that left the order without taking a slot makes room for one parked behind the cap.
  for ws in pairs(any_limits and names or {}) do
    made_room = unpark_capped(ws) > 0 or made_room
  end
end

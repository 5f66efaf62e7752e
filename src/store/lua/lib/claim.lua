-- Claims up to `want` jobs: strict bands, but every 16th slot serves `low` first and the slot
-- halfway between serves `normal` first, so that neither starves.
-- o: want, worker, token, lease_ms, types (set), may_suspect. Returns a flat list of id, record, entry.
local CLAIM_LOOK = 100
local found, served, leases, entries_out, parks, took = {}, {}, {}, {}, {}, {}
local looked, took_suspect, fresh_waiting = 0, false, false

local function set_aside(band, blocker, score, id)
  parks[band] = parks[band] or {}
  parks[band][blocker] = parks[band][blocker] or {}
  local list = parks[band][blocker]
  list[#list + 1], list[#list + 2] = score, id
end

local function accept(o, band, id, score, record, text, ws)
  local e = entry_of(text)
  local attempt = e.attempt + 1
  local member = id .. ':' .. o.token
  local entry = 'r\t' .. int(attempt) .. '\t' .. int(e.crashes) .. '\t' .. now_text .. '\t' .. o.worker .. '\t'
    .. o.token .. '\t\n' .. e.failure
  found[#found + 1], found[#found + 2], found[#found + 3] = id, record, entry
  leases[#leases + 1], leases[#leases + 2] = o.deadline, member
  entries_out[#entries_out + 1], entries_out[#entries_out + 2] = id, entry
  served[band] = math.max(served[band] or 0, tonumber(score))
  if limits[ws].cap then
    redis.call('SADD', qkey('slots:' .. ws), member)
    slots[ws] = slots[ws] + 1
  end
  took_suspect = took_suspect or e.crashes > 0
  event(id, 'R', int(attempt))
end

local function consider(o, band, popped)
  local ids, wss, kinds, ends, names = {}, {}, {}, {}, {}
  for i = 1, #popped, 2 do
    ids[#ids + 1] = popped[i]
  end
  local records = redis.call('HMGET', jobs_key, unpack(ids))
  local attempts = redis.call('HMGET', attempts_key, unpack(ids))
  for i = 1, #ids do
    if records[i] then
      ends[i], wss[i], kinds[i] = string.match(records[i], '^%d+\t(%d+)\t([^\t]+)\t([^\t]+)')
      names[wss[i]] = true
    end
  end
  load_limits(names)
  for i, id in ipairs(ids) do
    local ws, score = wss[i], popped[2 * i]
    if ws then
      local blocker = blocker_of(ws, kinds[i])
      local suspect = attempts[i] and tonumber(string.match(attempts[i], '^%a\t%d+\t(%d+)')) > 0
      if tonumber(ends[i]) < now then
        took[band .. '\t' .. ws] = (took[band .. '\t' .. ws] or 0) + 1
        close_unfinished(id, 'e', entry_of(attempts[i]), records[i])
        count('expired', 1)
      elseif blocker then
        set_aside(band, blocker, score, id)
      elseif not o.types[kinds[i]] then
        set_aside(band, 'o:' .. kinds[i], score, id)
        fresh_waiting = true
      elseif suspect and (took_suspect or not o.may_suspect) then
        set_aside(band, 's', score, id)
        fresh_waiting = true
      else
        took[band .. '\t' .. ws] = (took[band .. '\t' .. ws] or 0) + 1
        accept(o, band, id, score, records[i], attempts[i], ws)
      end
    end
  end
  -- A job that left the order without taking a slot makes room for one parked behind the cap.
  for ws in pairs(names) do
    unpark_capped(ws)
  end
end

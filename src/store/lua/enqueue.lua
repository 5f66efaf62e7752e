#!lua
-- Purpose: write up to 100 jobs of one queue, each with its idempotency key, place in line and counters.
-- Uses: base record line park place settle admit
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 events kept (0 = off), 3 listing index (1/0), 4 depth limit, 5 seconds a key outlives its job,
--       6 default time in line (ms), 7 n, then n times 9:
--       id, workspace, request_id, band, type, run_at ms or '', expires_at ms or '', fingerprint, rest of the record
-- Returns: now ms, then per item: n<id> new, r<id> replay, m<id> other body, F full, D draining, E broken key
-- Guarantee: an item is written whole or not at all; a repeat with the same id answers n again.
local WIDTH, n = 9, tonumber(ARGV[7])
local bad = expect_types(enqueue_types(n, WIDTH))
if bad then
  return bad
end
local room = tonumber(ARGV[4]) - redis.call('LLEN', qkey('pending'))
local draining = blocks()['drain']
local replies, fresh = { now_text }, {}

for i = 1, n do
  local p = 8 + (i - 1) * WIDTH
  local id, print = ARGV[p], ARGV[p + 7]
  local key = idem_key(ARGV[p + 1], ARGV[p + 2])
  local expires = tonumber(ARGV[p + 6]) or math.max(now, tonumber(ARGV[p + 5]) or 0) + tonumber(ARGV[6])
  local ttl = math.max(math.ceil((expires - now) / 1000), 0) + tonumber(ARGV[5])
  if draining or room <= 0 then
    local held = redis.pcall('GET', key)
    replies[i + 1] = held and answer(id, print, held) or (draining and 'D' or 'F')
  elseif redis.call('SET', key, id .. print, 'NX', 'EX', int(ttl)) then
    room = room - 1
    fresh[#fresh + 1] = { at = p, expires = expires }
    replies[i + 1] = 'n' .. id
  else
    replies[i + 1] = answer(id, print, redis.pcall('GET', key))
  end
end

local records, later, ending, lists, index = {}, {}, {}, { high = {}, normal = {}, low = {} }, {}
for _, item in ipairs(fresh) do
  local p = item.at
  local id, ws, run_at = ARGV[p], ARGV[p + 1], tonumber(ARGV[p + 5])
  records[#records + 1], records[#records + 2] = id, now_text .. '\t' .. int(item.expires) .. '\t' .. ARGV[p + 8]
  if run_at and run_at > now then
    later[#later + 1], later[#later + 2] = int(run_at), id
    event(id, 'S', '0')
  else
    table.insert(lists[ARGV[p + 3]], { id = id, ws = ws, kind = ARGV[p + 4] })
    event(id, 'P', '0')
  end
  if ARGV[p + 6] ~= '' then
    ending[#ending + 1], ending[#ending + 2] = ARGV[p + 6], id
  end
  index[ws] = index[ws] or {}
  table.insert(index[ws], id)
end
if #fresh > 0 then
  redis.call('HSET', jobs_key, unpack(records))
  redis.call('SADD', base .. ':queues', queue)
  count('enqueue', #fresh)
  for band, list in pairs(lists) do
    place(band, list)
  end
  if #ending > 0 then
    redis.call('ZADD', qkey('expiring'), unpack(ending))
  end
  enqueue_index(index)
  local sooner = schedule(later)
  if settle() > 0 or sooner then
    ring()
  end
end
flush_events(ARGV[2])
return replies

#!lua
-- Purpose: write up to 100 jobs of one queue, each with its idempotency key, place in line and counters.
-- Uses: base | record times line park | place settle admit |
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 events kept (0 = off), 3 listing index (1/0), 4 depth limit, 5 seconds a key outlives its job,
--       6 n, 7 and 8 between which moments (ms) the times in the ids count, then n times 6: idempotency key, id and
--       fingerprint as one, workspace, band \t type, run_at \t expires_at (ms, each may be empty; '' for neither), record
-- Returns: now ms (/ entry), then per item: n new, N new and made now whatever its id says, r<id> replay, m<id> other body, F full, D draining, E broken key
-- Guarantee: an item is written whole or not at all; a repeat with the same id answers n again.
local FIRST, WIDTH, last = 9, 6, 8 + 6 * tonumber(ARGV[6])
local bad = check_types(FIRST, WIDTH)
if bad then
  return bad
end
local room = tonumber(ARGV[4]) - redis.call('LLEN', qkey('pending')) - redis.call('ZCARD', scheduled_key)
local draining, outlives = blocks()['drain'], tonumber(ARGV[5])
-- Ids say when their jobs were made, unless the clock behind one was wrong or its call is an old one.
local told = now >= tonumber(ARGV[7]) and now <= tonumber(ARGV[8])
local usual_ttl = int(IN_LINE / 1000 + outlives)
local replies, records, n, later, ending, lists, classes = { now_text }, {}, 0, {}, {}, {}, {}

for p = FIRST, last, WIDTH do
  local at, value, times, ttl = 2 + (p - FIRST) / WIDTH, ARGV[p + 1], ARGV[p + 4], usual_ttl
  local run_at, ends, expires = '', '', now + IN_LINE
  if times ~= '' then
    run_at, ends = string.match(times, '^(%d*)\t(%d*)$')
    expires = tonumber(ends) or math.max(now, tonumber(run_at) or 0) + IN_LINE
    ttl = int(math.max(math.ceil((expires - now) / 1000), 0) + outlives)
  end
  if draining or n >= room then
    local held = redis.pcall('GET', ARGV[p])
    replies[at] = held and answer(value, held) or (draining and 'D' or 'F')
  elseif redis.call('SET', ARGV[p], value, 'NX', 'EX', ttl) then
    local id, ws, class = string.sub(value, 1, 22), ARGV[p + 2], ARGV[p + 3]
    replies[at] = told and 'n' or 'N'
    records[2 * n + 1], records[2 * n + 2] = id, told and ARGV[p + 5] or with_times(ARGV[p + 5], now, expires)
    n = n + 1
    if indexed then
      local ids = index[ws]
      ids[#ids + 1] = id
    end
    if ends ~= '' then
      ending[#ending + 1], ending[#ending + 2] = ends, id
    end
    if run_at ~= '' and tonumber(run_at) > now then
      later[#later + 1], later[#later + 2] = run_at, id
      event(id, 'S0 ')
    else
      local c = classes[class]
      if not c then
        local band, kind = string.match(class, '^(%a+)\t(.*)$')
        lists[band] = lists[band] or {}
        c = { kind = kind, list = lists[band] }
        classes[class] = c
      end
      enlist(c.list, id, ws, c.kind, false)
      event(id, 'P0 ')
    end
  else
    replies[at] = answer(value, redis.pcall('GET', ARGV[p]))
  end
end
if n > 0 then
  redis.call('HSET', jobs_key, unpack(records))
  redis.call('SADD', base .. ':queues', queue)
  count('enqueue', n)
  for band, list in pairs(lists) do
    place(band, list)
  end
  if #ending > 0 then
    redis.call('ZADD', expiring_key, unpack(ending))
  end
  write_index()
  local sooner = schedule(later)
  if settle() > 0 or sooner then
    ring()
  end
end
replies[1] = flush_events(ARGV[2])
return replies

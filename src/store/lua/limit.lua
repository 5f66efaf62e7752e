#!lua flags=allow-oom
-- Purpose: set a workspace's weight and cap in one queue's view; called once per queue.
-- Uses: base record line park settle
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 workspace, 3 weight, 4 cap or ''
-- Returns: 1
-- Guarantee: slots are counted anew from live leases, so a cap set under load is right at once.
local ws = ARGV[2]
local slots_key = qkey('slots:' .. ws)
local types, seldom = line_types()
types[slots_key] = 'set'
local bad = expect_types(types, seldom)
if bad then
  return bad
end
redis.call('HSET', base .. ':limits', ws, ARGV[3] .. '\t' .. ARGV[4])
absent = {}
redis.call('DEL', slots_key)
if ARGV[4] ~= '' then
  for _, member in ipairs(redis.call('ZRANGE', qkey('running'), '0', '4999')) do
    local record = redis.call('HGET', jobs_key, string.sub(member, 1, 22))
    if record and header(record).ws == ws then
      redis.call('SADD', slots_key, member)
    end
  end
end
load_limits({ [ws] = true })
if limits[ws].cap then
  unpark_capped(ws)
else
  for _, band in ipairs(bands) do
    unpark(band, 'c:' .. ws, 2000)
  end
end
if settle() > 0 then
  ring()
end
return 1

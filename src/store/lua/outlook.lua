#!lua flags=no-writes
-- Purpose: what the jobs of a queue wait for: by blocker, with a sample of each.
-- Uses: base look
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue
-- Returns: live workers, their descriptions, workspace and type of the first 50 leases, when the next scheduled job is
--          due or '', the first job that the next claim puts in line or '', then of the order: jobs, and id, workspace
--          and type of the first 20 of each band (flat); then of each of 100 blockers at most: band:blocker, jobs, id of
--          the first (flat)
-- Guarantee: one moment, bounded work.
local about, live = workers_about()
local due = redis.call('ZRANGE', qkey('scheduled'), '0', '0', 'WITHSCORES')
local moves = redis.call('ZRANGEBYSCORE', qkey('scheduled'), '-inf', now_text, 'LIMIT', '0', '1')[1]
  or redis.call('ZRANGEBYSCORE', qkey('running'), '-inf', now_text, 'LIMIT', '0', '1')[1]
local ordered, heads, ids = 0, {}, {}
for _, band in ipairs(bands) do
  ordered = ordered + redis.call('ZCARD', qkey('order:' .. band))
  for _, id in ipairs(redis.call('ZRANGE', qkey('order:' .. band), '0', '19')) do
    ids[#ids + 1] = id
  end
end
for i, kind in ipairs(kinds_of(ids)) do
  heads[2 * i - 1], heads[2 * i] = ids[i], kind
end
local fields, parked = {}, {}
if redis.call('HLEN', qkey('parked')) > 200 then
  fields = redis.call('HSCAN', qkey('parked'), '0', 'COUNT', '100')[2]
else
  fields = redis.call('HGETALL', qkey('parked'))
end
for i = 1, #fields, 2 do
  if string.find(fields[i], ':', 1, true) and #parked < 300 then
    local first = redis.call('ZRANGE', qkey('parked:' .. fields[i]), '0', '0')[1]
    local n = #parked
    parked[n + 1], parked[n + 2], parked[n + 3] = fields[i], fields[i + 1], first or ''
  end
end
return { live, about, running_kinds(), due[2] or '', string.sub(moves or '', 1, 22), ordered, heads, parked }

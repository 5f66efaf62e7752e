#!lua flags=no-writes
-- Purpose: one queue at one moment, for gauges and operators.
-- Uses: base record times
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue
-- Returns: now ms, depth, parked, scheduled, running, held, dead, workers, since when the next in line could run in ms
--          or '', stats (flat), blocked (flat), parked ones that wait for a worker unlike those that claim, parked ones
--          whose type or workspace is paused, scheduled ones whose time has come, leases that have ended
-- Guarantee: all figures are of the same moment.

-- When a job was made, became due, or came back into line: by a retry, a release or a redrive. A job for tomorrow is not
-- a day late when its day comes.
local function able_since(id, record)
  local due = tonumber(string.match(record, '^[^\n]-\tR(%d+)\t')) or 0
  local back = tonumber(string.match(entry_of(redis.call('HGET', attempts_key, id)).extra or '', '^%d+')) or 0
  return math.max(due, back, (times_of(id, record)))
end

local oldest = nil
for _, band in ipairs(bands) do
  local id = redis.call('ZRANGE', qkey('order:' .. band), '0', '0')[1]
  local record = id and redis.call('HGET', jobs_key, id)
  if record then
    oldest = math.min(oldest or now, able_since(id, record))
  end
end

local blocked, fields, paused = redis.call('HGETALL', qkey('blocked')), {}, 0
for i = 1, #blocked, 2 do
  if string.match(blocked[i], '^[tw]:') and #fields < 300 then
    for _, band in ipairs(bands) do
      fields[#fields + 1] = band .. ':' .. blocked[i]
    end
  end
end
if #fields > 0 then
  for _, parked in ipairs(redis.call('HMGET', qkey('parked'), unpack(fields))) do
    paused = paused + (tonumber(parked) or 0)
  end
end
return {
  now_text, redis.call('LLEN', qkey('pending')), redis.call('HGET', qkey('parked'), 'total') or '0',
  redis.call('ZCARD', qkey('scheduled')), redis.call('ZCOUNT', qkey('running'), '-inf', '(+inf'),
  redis.call('ZCARD', qkey('held')), redis.call('ZCARD', qkey('dead')),
  redis.call('ZCOUNT', qkey('workers'), now_text, '+inf'), oldest and int(oldest) or '',
  redis.call('HGETALL', stats_key), blocked, redis.call('HGET', qkey('parked'), 'waiting') or '0', int(paused),
  redis.call('ZCOUNT', qkey('scheduled'), '-inf', now_text), redis.call('ZCOUNT', qkey('running'), '-inf', now_text),
}

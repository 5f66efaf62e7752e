#!lua flags=no-writes
-- Purpose: one queue at one moment, for gauges and operators.
-- Uses: base record times
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue
-- Returns: now ms, depth, parked, scheduled, running, held, dead, workers, created ms of the next in line or '',
--          stats (flat), blocked (flat), parked ones that wait for a worker unlike those that claim, scheduled ones whose
--          time has come, leases that have ended
-- Guarantee: all figures are of the same moment.
local oldest = nil
for _, band in ipairs(bands) do
  local id = redis.call('ZRANGE', qkey('order:' .. band), '0', '0')[1]
  local record = id and redis.call('HGET', jobs_key, id)
  if record then
    oldest = math.min(oldest or now, (times_of(id, record)))
  end
end
return {
  now_text, redis.call('LLEN', qkey('pending')), redis.call('HGET', qkey('parked'), 'total') or '0',
  redis.call('ZCARD', qkey('scheduled')), redis.call('ZCOUNT', qkey('running'), '-inf', '(+inf'),
  redis.call('ZCARD', qkey('held')), redis.call('ZCARD', qkey('dead')),
  redis.call('ZCOUNT', qkey('workers'), now_text, '+inf'), oldest and int(oldest) or '',
  redis.call('HGETALL', stats_key), redis.call('HGETALL', qkey('blocked')),
  redis.call('HGET', qkey('parked'), 'waiting') or '0',
  redis.call('ZCOUNT', qkey('scheduled'), '-inf', now_text), redis.call('ZCOUNT', qkey('running'), '-inf', now_text),
}

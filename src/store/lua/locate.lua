#!lua flags=no-writes
-- Purpose: where one live job waits, and what it waits behind.
-- Uses: base line park
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 id, 3 workspace, 4 type, 5 band
-- Returns: blocker ('' in order, '-' not in line), rank in its band or '', blocked (flat), limits of the workspace,
--          live workers of the queue, their descriptions
-- Guarantee: one moment; at most 100 workers are looked at.
local id, band = ARGV[2], ARGV[5]
local rank, blocker = redis.call('ZRANK', qkey('order:' .. band), id), '-'
if rank then
  blocker = ''
else
  for _, b in ipairs({ 'c:' .. ARGV[3], 't:' .. ARGV[4], 'w:' .. ARGV[3], 'o:' .. ARGV[4], 's' }) do
    if redis.call('ZSCORE', parked_set(band, b), id) then
      blocker = b
      break
    end
  end
end
local live = redis.call('ZRANGEBYSCORE', qkey('workers'), now_text, '+inf', 'LIMIT', '0', '100')
local about = {}
for i, worker in ipairs(live) do
  about[i] = redis.call('HGET', base .. ':worker:' .. worker, 'about') or ''
end
return {
  blocker, rank and int(rank) or '', redis.call('HGETALL', qkey('blocked')),
  redis.call('HGET', base .. ':limits', ARGV[3]) or '', redis.call('ZCOUNT', qkey('workers'), now_text, '+inf'), about,
}

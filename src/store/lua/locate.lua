#!lua flags=no-writes
-- Purpose: where one live job waits, and what it waits behind.
-- Uses: base record line park look
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 id, 3 workspace, 4 type, 5 band
-- Returns: blocker ('' in order, '-' not in line), rank in its band or '', blocked (flat), limits of the workspace,
--          live workers of the queue, their descriptions, leases, workspace and type of the first 50 leases, jobs in
--          order in higher bands, workspace and type of the next 50 ahead of it, their limits (flat), now ms, when its
--          lease ends or ''
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
local about, live = workers_about()
local higher, ahead = 0, {}
if rank then
  for _, b in ipairs(bands) do
    if b == band then
      break
    end
    higher = higher + redis.call('ZCARD', qkey('order:' .. b))
  end
  if rank > 0 then
    ahead = kinds_of(redis.call('ZRANGE', qkey('order:' .. band), '0', int(math.min(rank, LOOKED_AT) - 1)))
  end
end
local lease = redis.call('ZSCORE', qkey('running'), id .. ':' .. entry_of(redis.call('HGET', attempts_key, id)).token)
return {
  blocker, rank and int(rank) or '', redis.call('HGETALL', qkey('blocked')),
  redis.call('HGET', base .. ':limits', ARGV[3]) or '', live, about,
  redis.call('ZCOUNT', qkey('running'), '-inf', '(+inf'), running_kinds(), int(higher), ahead, limits_of(ahead),
  now_text, lease or '',
}

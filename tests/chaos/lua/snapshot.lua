#!lua flags=no-writes,allow-stale
-- Figures of one queue and of the whole at one moment, with the newest entry of the transition log.
-- ARGV: queue, then workspaces and types as `w:<name>` and `t:<name>`.
local q = ARGV[1] == 'default' and '' or ':' .. ARGV[1]
local function key(name) return 'ai:queue:' .. name .. q end
local clock = redis.call('TIME')
local ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local hour = math.floor(ms / 3600000)
local done = 0
for h = hour - 25, hour do
  done = done + redis.call('HLEN', 'ai:done:' .. string.format('%d', h))
end
local newest = redis.call('XREVRANGE', 'ai:events', '+', '-', 'COUNT', '1')[1]
local order, sets, slots = {}, {}, {}
for _, band in ipairs({ 'high', 'normal', 'low' }) do
  order[#order + 1], order[#order + 2] = band, redis.call('ZCARD', key('order:' .. band))
  local blockers = { 's' }
  for i = 2, #ARGV do
    local kind, name = string.match(ARGV[i], '^(%a):(.*)$')
    for _, b in ipairs(kind == 'w' and { 'c:', 'w:' } or { 't:', 'o:' }) do
      blockers[#blockers + 1] = b .. name
    end
  end
  for _, b in ipairs(blockers) do
    local n = redis.call('ZCARD', key('parked:' .. band .. ':' .. b))
    if n > 0 then
      sets[#sets + 1], sets[#sets + 2] = band .. ':' .. b, n
    end
  end
end
for i = 2, #ARGV do
  local kind, name = string.match(ARGV[i], '^(%a):(.*)$')
  if kind == 'w' then
    slots[#slots + 1], slots[#slots + 2] = name, redis.call('SCARD', key('slots:' .. name))
  end
end
return {
  'redis_ms', ms, 'entry', newest and newest[1] or '0-0', 'pending_len', redis.call('LLEN', key('pending')),
  'order', order, 'parked', redis.call('HGETALL', key('parked')), 'parked_sets', sets,
  'scheduled', redis.call('ZCARD', key('scheduled')), 'running', redis.call('ZCOUNT', key('running'), '-inf', '(+inf'),
  'held', redis.call('ZCARD', key('held')), 'dead', redis.call('ZCARD', key('dead')),
  'jobs', redis.call('HLEN', 'ai:jobs'), 'attempts', redis.call('HLEN', 'ai:attempts'), 'done_total', done,
  'stats', redis.call('HGETALL', key('stats')), 'slots', slots, 'limits', redis.call('HGETALL', 'ai:limits'),
  'blocked', redis.call('HGETALL', key('blocked')), 'epoch', redis.call('GET', 'ai:epoch') or '',
}

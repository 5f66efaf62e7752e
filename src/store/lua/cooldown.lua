#!lua flags=allow-oom
-- Purpose: leave something outside alone for a while, for the whole fleet; or look how long it is left alone.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 scope, 3 how long in ms; 0 only looks
-- Returns: ms left of this scope, ms left of any scope
-- Guarantee: a cooldown is made longer and never shorter; a repeat lengthens it by what passed between the two.
local own, any = base .. ':cooldown:' .. ARGV[2], base .. ':cooldown'
local bad = expect_types({ [own] = 'string', [any] = 'string' })
if bad then
  return bad
end
local ms = tonumber(ARGV[3])
if not ms or ms < 0 or ms ~= math.floor(ms) or ms > 86400000 then
  return redis.error_reply('WLARG a cooldown lasts up to a day')
end
local function cool(key)
  local left = math.max(redis.call('PTTL', key), 0)
  if left >= ms then
    return int(left)
  end
  redis.call('SET', key, '1', 'PX', int(ms))
  return int(ms)
end
-- The second key lives as long as the longest cooldown: while it is gone, nobody has to ask for any scope.
return { cool(own), cool(any) }

#!lua flags=no-writes
-- Purpose: the live worker processes.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-'
-- Returns: now ms, then id, description and last-heard ms per worker, 1,000 at most
-- Guarantee: one moment.
local reply = { now_text }
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', base .. ':workers', now_text, '+inf', 'LIMIT', '0', '1000')) do
  local about = redis.call('HMGET', base .. ':worker:' .. worker, 'about', 'seen')
  if about[1] then
    reply[#reply + 1] = worker
    reply[#reply + 1] = about[1]
    reply[#reply + 1] = about[2]
  end
end
return reply

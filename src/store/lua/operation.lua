#!lua flags=allow-oom
-- Purpose: begin a bulk operation, or change its record; a full Redis takes it, since an operation may be what drains it.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 id, 3 the record as it has to be ('' none), 4 as it is then, 5 1 if it runs then, 6 running at most,
--       7 kept at most, 8 how long they are kept (ms)
-- Returns: 1 done, 0 and the record that is there, 2 as many run as may
-- Guarantee: a change is made to the record that its caller saw, or not at all; at most 100 old records go a call.
local all, made, running = base .. ':operations', base .. ':operations:made', base .. ':operations:running'
local bad = expect_types({ [all] = 'hash', [made] = 'zset', [running] = 'set' })
if bad then
  return bad
end
local id, is = ARGV[2], redis.call('HGET', all, ARGV[2]) or ''
if is ~= ARGV[3] then
  return { 0, is }
end
local runs = ARGV[5] == '1'
if runs and redis.call('SISMEMBER', running, id) == 0 and redis.call('SCARD', running) >= tonumber(ARGV[6]) then
  return { 2, '' }
end
local function drop(ids)
  for _, old in ipairs(ids) do
    if redis.call('SISMEMBER', running, old) == 0 then
      redis.call('HDEL', all, old)
      redis.call('ZREM', made, old)
    end
  end
end
redis.call('HSET', all, id, ARGV[4])
redis.call(runs and 'SADD' or 'SREM', running, id)
if ARGV[3] == '' then
  redis.call('ZADD', made, now_text, id)
  drop(redis.call('ZRANGEBYSCORE', made, '-inf', int(now - tonumber(ARGV[8])), 'LIMIT', '0', '100'))
  local over = redis.call('ZCARD', made) - tonumber(ARGV[7])
  if over > 0 then
    drop(redis.call('ZRANGE', made, '0', int(math.min(over, 100) - 1)))
  end
end
return { 1, '' }

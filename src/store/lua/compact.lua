#!lua flags=allow-oom
-- Purpose: the janitor's step for the listing index: drop ids of jobs that are gone from one old hour.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 hours an index is left alone
-- Returns: 1 if more is to do, else 0
-- Guarantee: idempotent; at most 200 ids a call; an hour is replaced only when it is fully sifted.
local indexes = base .. ':indexes'
local bad = expect_types({ [indexes] = 'zset', [base .. ':sifting'] = 'hash', [jobs_key] = 'hash' })
if bad then
  return bad
end
local due = redis.call('ZRANGEBYSCORE', indexes, '-inf', int(math.floor(now / 3600000) - tonumber(ARGV[2])), 'LIMIT', '0', '1')
if #due == 0 then
  return 0
end
local key = base .. ':index:' .. due[1]
local sifted = key .. ':sifted'
bad = expect_types({ [key] = 'list', [sifted] = 'list' })
if bad then
  return bad
end
local at = tonumber(redis.call('HGET', base .. ':sifting', due[1])) or 0
local ids = redis.call('LRANGE', key, int(at), int(at + 199))
if #ids > 0 then
  local keep = {}
  for i, live in ipairs(redis.call('HMGET', jobs_key, unpack(ids))) do
    if live then
      keep[#keep + 1] = ids[i]
    end
  end
  if #keep > 0 then
    redis.call('RPUSH', sifted, unpack(keep))
    redis.call('EXPIRE', sifted, '2764800')
  end
  redis.call('HSET', base .. ':sifting', due[1], int(at + #ids))
  return 1
end
if redis.call('EXISTS', sifted) == 1 then
  redis.call('RENAME', sifted, key)
else
  redis.call('DEL', key)
end
redis.call('HDEL', base .. ':sifting', due[1])
redis.call('ZREM', indexes, due[1])
return 1

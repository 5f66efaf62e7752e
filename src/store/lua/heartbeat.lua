#!lua flags=allow-oom
-- Purpose: renew a worker's registration and up to 100 of its leases.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 worker, 3 life of lease and registration (ms), 4 description (JSON),
--       5 number of queues, queues…, then pairs of queue and id:attempt_id
-- Returns: now ms, then 1 (renewed) or 0 (lost) per lease
-- Guarantee: a lease that was taken away is never brought back.
local worker, life = ARGV[2], tonumber(ARGV[3])
local deadline, nq = int(now + life), tonumber(ARGV[5])
local replies, by_queue = { now_text }, {}
local workers_key, worker_key = base .. ':workers', base .. ':worker:' .. worker
local types = { [workers_key] = 'zset', [worker_key] = 'hash', [base .. ':queues'] = 'set' }

local function in_queue(name, key)
  return base .. ':queue:' .. key .. (name == 'default' and '' or ':' .. name)
end

for i = 6, 5 + nq do
  types[in_queue(ARGV[i], 'workers')] = 'zset'
end
for i = 6 + nq, #ARGV, 2 do
  types[in_queue(ARGV[i], 'running')] = 'zset'
end
local bad = expect_types(types)
if bad then
  return bad
end
redis.call('ZADD', workers_key, deadline, worker)
redis.call('HSET', worker_key, 'about', ARGV[4], 'seen', now_text)
redis.call('PEXPIRE', worker_key, int(life * 4))
redis.call('ZREMRANGEBYSCORE', workers_key, '-inf', '(' .. now_text)

for i = 6, 5 + nq do
  local key = in_queue(ARGV[i], 'workers')
  redis.call('ZADD', key, deadline, worker)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', '(' .. now_text)
  redis.call('SADD', base .. ':queues', ARGV[i])
end
for i = 6 + nq, #ARGV, 2 do
  local list = by_queue[ARGV[i]] or { members = {}, at = {} }
  by_queue[ARGV[i]] = list
  table.insert(list.members, ARGV[i + 1])
  table.insert(list.at, 2 + (i - 6 - nq) / 2)
end
for name, list in pairs(by_queue) do
  local key, renewed = in_queue(name, 'running'), {}
  for j, score in ipairs(redis.call('ZMSCORE', key, unpack(list.members))) do
    replies[list.at[j]] = score and '1' or '0'
    if score then
      renewed[#renewed + 1], renewed[#renewed + 2] = deadline, list.members[j]
    end
  end
  if #renewed > 0 then
    redis.call('ZADD', key, 'XX', unpack(renewed))
  end
end
return replies

#!lua flags=allow-oom
-- Purpose: the janitor's look at jobs whose last moment in line passed unnoticed, because nobody claimed or they are
-- parked: they are marked as due to expire, days before their idempotency key could end.
-- Uses: base record times
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 where the last look stopped ('0' at first)
-- Returns: where to go on ('0' after the last), then the queues in which something was marked
-- Guarantee: idempotent; looks at a few dozen jobs a call; only waiting jobs are marked.
local page = redis.call('HSCAN', jobs_key, ARGV[2], 'COUNT', '20')
local reply, marked = { page[1] }, {}
for i = 1, #page[2], 2 do
  local id, record = page[2][i], page[2][i + 1]
  local _, expires = times_of(id, record)
  local name = header(record).queue
  if name and expires < now then
    local entry = redis.call('HGET', attempts_key, id)
    if not entry or string.sub(entry, 1, 1) == 'w' then
      local key = base .. ':queue:expiring' .. (name == 'default' and '' or ':' .. name)
      local bad = expect_types({ [key] = 'zset' })
      if bad then
        return bad
      end
      redis.call('ZADD', key, int(expires), id)
      if not marked[name] then
        marked[name], reply[#reply + 1] = true, name
      end
    end
  end
end
return reply

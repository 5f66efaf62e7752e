#!lua flags=allow-oom
-- Purpose: the janitor's step for one queue: old dead letters, parked jobs whose block is gone, counts; and records of
--          effects without a job, which versions that knew none left where they finished one.
-- Uses: base record line park settle effects close aside forget
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 retention of dead letters (ms)
-- Returns: dead letters removed, parked jobs brought back
-- Guarantee: idempotent and bounded; any number of processes may run it at once.
local removed, moved = 0, 0
local bad = expect_types(ending_types())
if bad then
  return bad
end
local old = redis.call('ZRANGEBYSCORE', qkey('dead'), '-inf', int(now - tonumber(ARGV[2])), 'LIMIT', '0', '100')
for _, id in ipairs(old) do
  forget(id, entry_of(redis.call('HGET', attempts_key, id)))
  removed = removed + 1
end
local fields = redis.call('HGETALL', parked_key)
for i = 1, math.min(#fields, 400), 2 do
  local band, blocker = string.match(fields[i], '^(%a+):(.*)$')
  if band then
    local first, name = string.match(blocker, '^(%a):?(.*)$')
    local lifted = (first == 't' or first == 'w') and not blocks()[blocker]
    if first == 'c' then
      load_limits({ [name] = true })
      lifted = not limits[name].cap
      if not lifted then
        moved = moved + unpark_capped(name)
      end
    end
    if lifted then
      moved = moved + unpark(band, blocker, 100)
    end
  end
end
for _, id in ipairs(redis.call('HRANDFIELD', effects_key, '20')) do
  if redis.call('HEXISTS', jobs_key, id) == 0 then
    redis.call('HDEL', effects_key, id)
  end
end
if settle() > 0 and moved > 0 then
  ring()
end
return { removed, moved }

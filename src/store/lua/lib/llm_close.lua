-- How a reservation ends that nobody settles.
local function drop(job, r)
  redis.call('HDEL', held_key, job)
  redis.call('ZREM', holds_key, job)
  for _, scope in ipairs(r.state == 'g' and r.scopes or {}) do
    redis.call('ZREM', calls_key(scope), job)
  end
  if r.probe then
    end_probe(r.target, job)
  end
end

-- A booking never began: all of it is given back. A call that began may have been billed: its tokens stay in their
-- cell for the minute, and the most it can have cost is spent, estimated.
local function give_back(job, r)
  for _, scope in ipairs(r.scopes) do
    if r.state == 'b' then
      count_booked(rate(scope), r.cell, -1, -r.tokens)
    end
    if r.nano > 0 then
      pay(scope, r.day, r.state == 'g' and r.nano or 0, -r.nano)
    end
  end
  if r.state == 'g' then
    enter(r, { calls = 1, failed = 1, nano_usd = r.nano, estimated = 1, unpriced = r.nano == 0 and 1 or 0 })
  end
  drop(job, r)
end

-- Up to 20 reservations whose hold ran out.
local function run_out()
  local jobs, found = redis.call('ZRANGE', holds_key, '-inf', now_text, 'BYSCORE', 'LIMIT', '0', '20'), {}
  for i, text in ipairs(#jobs > 0 and redis.call('HMGET', held_key, unpack(jobs)) or {}) do
    found[i] = { job = jobs[i], r = held(text) }
  end
  return found
end

local function give_back_all(found)
  for _, f in ipairs(found) do
    if f.r then
      give_back(f.job, f.r)
    else
      redis.call('ZREM', holds_key, f.job)
    end
  end
end

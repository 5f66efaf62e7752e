-- From one queue to another within a call.

-- Everything behind this goes to the keys of queue `name`; what was read of the one before is forgotten.
local function turn_to(name)
  queue, suffix = name, name == 'default' and '' or ':' .. name
  stats_key, fair_key, parked_key, wake_key = qkey('stats'), qkey('fair'), qkey('parked'), qkey('wake')
  scheduled_key, running_key, expiring_key = qkey('scheduled'), qkey('running'), qkey('expiring')
  blocked, limits, slots, any_limits = nil, {}, {}, nil
end

-- A record with another queue. Options stand in an order: times, queue, others.
local function with_queue(record, name)
  local head, rest = string.match(record, '^([^\t]+\t[^\t]+\t[^\t]*\t)(.*)$')
  local times = string.match(rest, '^C%d+\tX%d+\t') or string.match(rest, '^X%d+\t') or ''
  rest = string.gsub(string.sub(rest, #times + 1), '^Q[^\t\n]*\t', '')
  return head .. times .. (name == 'default' and '' or 'Q' .. name .. '\t') .. rest
end

-- Jobs that the queue turned to has room for; none while its intake is closed.
local function room_for(limit)
  if blocks()['drain'] then
    return 0
  end
  return tonumber(limit) - redis.call('LLEN', qkey('pending')) - redis.call('ZCARD', scheduled_key)
end

-- Takes a waiting job out of the queue turned to. False if it does not wait there.
local function depart(job)
  job.due = redis.call('ZSCORE', scheduled_key, job.id)
  if job.due then
    redis.call('ZREM', scheduled_key, job.id)
  elseif unline(job.id, job.h) then
    unpark_capped(job.h.ws)
  else
    return false
  end
  job.ends = redis.call('ZSCORE', expiring_key, job.id)
  if job.ends then
    redis.call('ZREM', expiring_key, job.id)
  end
  return true
end

-- Puts it into the one turned to now: in `lists` to be placed, or in `later` to be scheduled.
local function arrive(job, lists, later)
  redis.call('HSET', jobs_key, job.id, with_queue(job.record, queue))
  if job.ends then
    redis.call('ZADD', expiring_key, job.ends, job.id)
  end
  local attempt = int(job.e.attempt) .. ' '
  if job.due then
    later[#later + 1], later[#later + 2] = job.due, job.id
    event(job.id, 'S' .. attempt)
  else
    lists[job.h.band] = lists[job.h.band] or {}
    enlist(lists[job.h.band], job.id, job.h.ws, job.h.kind, job.e.attempt > 0)
    event(job.id, 'P' .. attempt)
  end
end

-- One step of a bulk operation on this shard: the jobs, what became of them and how far it is are one write.
-- Arguments: 5 operation, 6 how far it has to be, 7 how far it is then, 8 action, 9 when it began, 10 'pass' if another
-- pass begins or 'place' if a bucket is left, 11 hour of the bucket or '', 12 target and 13 its depth limit, 14 attempts
-- of a job whose record names none, 15 1 if skipped jobs count for this pass only, 16 fence under which it is wanted,
-- 17 to 25 filter, then ids.
local FIRST = 26
local part_key = part_of(ARGV[5])
local met_key = part_key .. ':met'
local skips, part_cut = {}, nil

local function skip(id, why)
  -- A bucket may show a job twice, or be walked again: who was skipped there is remembered until it is left.
  if ARGV[11] == '' or redis.call('SADD', met_key, id) == 1 then
    skips[why] = (skips[why] or 0) + 1
  end
end

-- The error of a key of a wrong type; or what is on record, if this step was made before, is not the next, or is wanted
-- by someone from before the operation was stopped or taken over.
local function refused()
  local bad = expect_types({ [part_key] = 'hash', [met_key] = 'set' })
  if bad then
    return bad
  end
  local part = redis.call('HMGET', part_key, 'cursor', 'cut', 'fence')
  if (part[1] or '') ~= ARGV[6] or tonumber(ARGV[16]) < tonumber(part[3] or '0') then
    return { 0, redis.call('HGETALL', part_key) }
  end
  part_cut = tonumber(part[2]) or math.min(tonumber(ARGV[9]), now)
end

-- A job as it is now, if it is where the step looks for it.
local function job_now(id)
  if ARGV[11] ~= '' then
    local was = ended_job(id, ARGV[11])
    return was and was.state ~= 'd' and { id = id, was = was, h = header(was.record), state = was.state, since = was.since,
      text = was.failure, record = was.record }
  end
  local record = redis.call('HGET', jobs_key, id)
  local h = header(record or '')
  if h.queue ~= queue then
    return nil
  end
  local text = redis.call('HGET', attempts_key, id) or nil
  local e = entry_of(text)
  local state, since = e.state, tonumber(string.match(e.extra, '^%d+'))
  if state == 'w' and redis.call('ZSCORE', scheduled_key, id) then
    state = 'S'
  end
  if state == 'h' then
    since = tonumber(redis.call('ZSCORE', qkey('held'), id))
  elseif state ~= 'd' then
    since = times_of(id, record)
  end
  return { id = id, record = record, h = h, e = e, state = state, since = since or 0, text = text }
end

-- Each once, though a bucket may show a job twice while Redis moves it.
local function jobs_of_step()
  local f, jobs, seen = read_filter(17, part_cut), {}, {}
  for i = FIRST, #ARGV do
    local id = ARGV[i]
    if not seen[id] then
      local job = job_now(id)
      local fits = job and wanted(f, job.state, job.since, job.h.ws, job.h.kind, job.text)
      jobs[#jobs + 1], seen[id] = fits and job or { id = id }, true
    end
  end
  return jobs
end

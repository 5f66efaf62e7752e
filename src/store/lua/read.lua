#!lua flags=no-writes
-- Purpose: read up to 100 jobs by id, live or ended.
-- Uses: base record
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 hours a done bucket can be old, then pairs of id and the hour it was made
-- Returns: now ms, then per id: '' missing, or {record, entry, due ms, progress}, or {done record, bucket}
-- Guarantee: one moment for all ids.
local replies = { now_text }
local hour_now, oldest = math.floor(now / 3600000), tonumber(ARGV[2])

local function ended(id, made)
  for hour = math.max(made, hour_now - oldest), hour_now do
    local done = redis.call('HGET', base .. ':done:' .. int(hour), id)
    if done then
      return { done, int(hour) }
    end
  end
  return ''
end

for i = 3, #ARGV, 2 do
  local id = ARGV[i]
  local record = redis.call('HGET', jobs_key, id)
  if record then
    local q = header(record).queue or 'default' -- what cannot be read is shown as that
    local scheduled = base .. ':queue:scheduled' .. (q == 'default' and '' or ':' .. q)
    replies[#replies + 1] = {
      record, redis.call('HGET', attempts_key, id) or '', redis.call('ZSCORE', scheduled, id) or '',
      redis.call('HGET', base .. ':progress', id) or '',
    }
  else
    replies[#replies + 1] = ended(id, tonumber(ARGV[i + 1]))
  end
end
return replies

-- Entering and leaving the line. Start-time fair queueing (Goyal, Vin, Cheng 1996):
-- start = max(V, min(finish, V + (pending of the workspace + 1) · step)), finish = start + step.
local LONG = string.rep('=', 65) -- a value above 64 bytes keeps a small hash out of the slow listpack form

-- list: {id, ws, kind, retry}, all of one band. Blocked jobs are parked at once, with their tag.
local function place(band, list)
  if #list == 0 then
    return
  end
  local finish_key = qkey('finish:' .. band)
  local fields, value, names = {}, {}, {}
  for _, job in ipairs(list) do
    job.field = job.retry and job.ws .. ':r' or job.ws
    for _, field in ipairs({ job.field, job.ws .. ':n' }) do
      if not value[field] then
        fields[#fields + 1] = field
        value[field] = 0
      end
    end
    names[job.ws] = true
  end
  load_limits(names)
  local found = redis.call('HMGET', finish_key, unpack(fields))
  local any = false
  for i, field in ipairs(fields) do
    value[field] = tonumber(found[i]) or 0
    any = any or found[i]
  end
  local v = tonumber(redis.call('HGET', fair_key, 'v:' .. band)) or 0
  local order, parks = {}, {}
  for _, job in ipairs(list) do
    local step, n = limits[job.ws].step, value[job.ws .. ':n']
    local start = math.max(v, math.min(value[job.field], v + (n + 1) * step))
    value[job.field] = start + step
    value[job.ws .. ':n'] = n + 1
    local blocker = blocker_of(job.ws, job.kind)
    local into = order
    if blocker then
      parks[blocker] = parks[blocker] or {}
      into = parks[blocker]
    end
    into[#into + 1] = int(start)
    into[#into + 1] = job.id
  end
  local flat = any and {} or { '=', LONG }
  for field, n in pairs(value) do
    flat[#flat + 1] = field
    flat[#flat + 1] = int(n)
  end
  redis.call('HSET', finish_key, unpack(flat))
  if #order > 0 then
    redis.call('ZADD', qkey('order:' .. band), unpack(order))
  end
  for blocker, scored in pairs(parks) do
    park(band, blocker, scored)
  end
end

-- Takes one waiting job out of wherever it waits in line. True if it was in line.
local function unline(id, h)
  local out = redis.call('ZREM', qkey('order:' .. h.band), id) == 1
  if not out then
    for _, blocker in ipairs({ 'c:' .. h.ws, 't:' .. h.kind, 'w:' .. h.ws, 'o:' .. h.kind, 's' }) do
      if redis.call('ZREM', parked_set(h.band, blocker), id) == 1 then
        count_parked(h.band, blocker, -1)
        out = true
        break
      end
    end
  end
  if out then
    redis.call('HINCRBY', qkey('finish:' .. h.band), h.ws .. ':n', '-1')
  end
  return out
end

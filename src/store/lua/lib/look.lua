-- For whoever asks why: what jobs are, who works, what runs.
local LOOKED_AT = 50

-- `<workspace>\t<type>` of each job, '' of one without a record.
local function kinds_of(ids)
  local kinds = {}
  if #ids > 0 then
    for i, record in ipairs(redis.call('HMGET', jobs_key, unpack(ids))) do
      kinds[i] = string.match(record or '', '^([^\t]+\t[^\t]+)\t') or ''
    end
  end
  return kinds
end

-- The descriptions of the live workers of the queue, 100 at most, and how many there are.
local function workers_about()
  local live = redis.call('ZRANGEBYSCORE', qkey('workers'), now_text, '+inf', 'LIMIT', '0', '100')
  local about = {}
  for i, worker in ipairs(live) do
    about[i] = redis.call('HGET', base .. ':worker:' .. worker, 'about') or ''
  end
  return about, redis.call('ZCOUNT', qkey('workers'), now_text, '+inf')
end

-- Kinds of the first leases of the queue.
local function running_kinds()
  local ids = {}
  for i, member in ipairs(redis.call('ZRANGE', qkey('running'), '0', int(LOOKED_AT - 1))) do
    ids[i] = string.sub(member, 1, 22)
  end
  return kinds_of(ids)
end

-- The limits of the workspaces in `kinds`: name and record, flat.
local function limits_of(kinds)
  local names, seen, flat = {}, {}, {}
  for _, kind in ipairs(kinds) do
    local ws = string.match(kind, '^[^\t]+')
    if ws and not seen[ws] then
      seen[ws], names[#names + 1] = true, ws
    end
  end
  if #names > 0 then
    for i, record in ipairs(redis.call('HMGET', base .. ':limits', unpack(names))) do
      flat[#flat + 1], flat[#flat + 2] = names[i], record or ''
    end
  end
  return flat
end

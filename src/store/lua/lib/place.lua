-- Entering and leaving the line. Start-time fair queueing (Goyal, Vin, Cheng 1996): start = max(V, finish),
-- finish = start + step, and who leaves the line unserved is given the step back.
local LONG = string.rep('=', 65) -- a value above 64 bytes keeps a small hash out of the slow listpack form

-- One more for `place`: jobs of one band, flat, because a table for each is dear.
local function enlist(list, id, ws, kind, retry)
  local n = list.n or 0
  list[n + 1], list[n + 2], list[n + 3], list[n + 4] = id, ws, kind, retry
  list.n = n + 4
end

-- list: as `enlist` makes it. Blocked jobs are parked at once, with their tag.
local function place(band, list)
  local finish_key = qkey('finish:' .. band)
  local fields, finish, names = {}, {}, {}
  for i = 1, list.n or 0, 4 do
    local ws = list[i + 1]
    local field = list[i + 3] and ws .. ':r' or ws
    if not finish[field] then
      fields[#fields + 1], finish[field], names[ws] = field, 0, true
    end
  end
  if #fields == 0 then
    return
  end
  load_limits(names)
  local any = false
  for i, text in ipairs(redis.call('HMGET', finish_key, unpack(fields))) do
    finish[fields[i]] = tonumber(text) or 0
    any = any or text
  end
  local v = tonumber(redis.call('HGET', fair_key, 'v:' .. band)) or 0
  local order, parks, n, open, step = {}, {}, 0, unblocked(), PLAIN.step
  for i = 1, list.n, 4 do
    local ws = list[i + 1]
    local field = list[i + 3] and ws .. ':r' or ws
    local start = finish[field]
    if start < v then
      start = v
    end
    finish[field] = start + (any_limits and limits[ws].step or step)
    local blocker = not open and blocker_of(ws, list[i + 2])
    if blocker then
      parks[blocker] = parks[blocker] or {}
      table.insert(parks[blocker], int(start))
      table.insert(parks[blocker], list[i])
    else
      order[n + 1], order[n + 2] = int(start), list[i]
      n = n + 2
    end
  end
  local flat = any and {} or { '=', LONG }
  for _, field in ipairs(fields) do
    flat[#flat + 1], flat[#flat + 2] = field, int(finish[field])
  end
  redis.call('HSET', finish_key, unpack(flat))
  if n > 0 then
    redis.call('ZADD', qkey('order:' .. band), unpack(order))
  end
  for blocker, scored in pairs(parks) do
    park(band, blocker, scored)
  end
end

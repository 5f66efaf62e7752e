-- Requests and tokens of any 60 seconds. A call lies in the cell of the second it began in, so 61 cells hold every
-- minute that has a part in the first and in the last of them. One hash per scope:
--   <second>     'requests tokens' of the calls that began then; deleted when it has left the window
--   head, r, t   the second that the window ends with, and the sums of the window
--   b<second>    'requests tokens' booked for then and not begun; last: the latest such second; br, bt: sums of all
--   took, turn   how long calls take on average (ms), and whose turn it is at a scope that is full (llm_share)
--   lr, lt       its limits as the latest call met them, 0 for none
local WINDOW, KEPT = 60, '7200'
local FIGURES = { 'head', 'r', 't', 'last', 'br', 'bt', 'took', 'turn', 'lr', 'lt' }

local function cell_of(text)
  local r, t = string.match(text or '0 0', '^(%d+) (%d+)$')
  return tonumber(r), tonumber(t)
end

-- The cells of seconds from..to, by second.
local function cells(s, prefix, from, to)
  local fields, found = {}, {}
  for sec = from, to do
    fields[#fields + 1] = prefix .. int(sec)
  end
  if #fields > 0 then
    for i, text in ipairs(redis.call('HMGET', s.key, unpack(fields))) do
      local r, t = cell_of(text)
      found[from + i - 1] = text and { r = r, t = t } or nil
    end
  end
  return found, fields
end

-- The window as it ends now; what has left it is deleted. Should the clock go back, the window stays where it was.
local rates = {}
local function rate(scope)
  local s = rates[scope.id]
  if s then
    return s
  end
  s = { key = rate_key(scope), was = {} }
  local f = redis.call('HMGET', s.key, unpack(FIGURES))
  for i, name in ipairs(FIGURES) do
    s[name], s.was[name] = tonumber(f[i]) or 0, tonumber(f[i])
  end
  if s.head > 0 and s.head < second then
    local left, fields = cells(s, '', s.head - WINDOW, math.min(s.head, second - WINDOW - 1))
    for _, cell in pairs(left) do
      s.r, s.t = s.r - cell.r, s.t - cell.t
    end
    redis.call('HDEL', s.key, unpack(fields))
  end
  s.head = math.max(s.head, second)
  rates[scope.id] = s
  return s
end

-- Changes a cell, by no more than it has; returns by how much.
local function change(s, field, r, t)
  local had_r, had_t = cell_of(redis.call('HGET', s.key, field))
  r, t = math.max(r, -had_r), math.max(t, -had_t)
  if had_r + r == 0 and had_t + t == 0 then
    redis.call('HDEL', s.key, field)
  else
    redis.call('HSET', s.key, field, int(had_r + r) .. ' ' .. int(had_t + t))
  end
  return r, t
end

-- Counts into the cell of a second that is in the window.
local function count_begun(s, sec, r, t)
  if sec >= s.head - WINDOW then
    r, t = change(s, int(sec), r, t)
    s.r, s.t = s.r + r, s.t + t
  end
end

local function count_booked(s, sec, r, t)
  r, t = change(s, 'b' .. int(sec), r, t)
  s.br, s.bt = s.br + r, s.bt + t
  s.last = s.br > 0 and math.max(s.last, r > 0 and sec or 0) or 0
end

-- Requests and tokens of any 60 seconds. A call lies in the cell of the second it began in, so 61 cells hold every
-- minute that has a part in the first and in the last of them. One hash per scope:
--   <second>     'requests tokens' of the calls that began then; deleted when it has left the window
--   head, r, t   the second that the window ends with, and the sums of the window
--   b<second>    'requests tokens' booked for then and not begun; last: the latest such second; br, bt: sums of all
--   took, turn   how long calls take on average (ms), and whose turn it is at a scope that is full (llm_share)
--   lr, lt       its limits as the latest call met them, 0 for none
local WINDOW, KEPT = 60, '7200'
local second_text = int(second)
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
      found[from + i - 1] = s.cells[fields[i]] or (text and { r = r, t = t }) or nil
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
  s = { key = rate_key(scope), was = {}, cells = {}, dirty = {} }
  local f = redis.call('HMGET', s.key, second_text, unpack(FIGURES))
  local r, t = cell_of(f[1])
  s.cells[second_text] = { r = r, t = t }
  for i, name in ipairs(FIGURES) do
    s[name], s.was[name] = tonumber(f[i + 1]) or 0, tonumber(f[i + 1])
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

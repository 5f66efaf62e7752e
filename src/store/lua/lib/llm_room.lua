-- When a call fits into the rates of a scope: `limit` has r (requests) and t (tokens), either absent.
local function over(limit, r, t)
  return (limit.r and r > limit.r and 'requests') or (limit.t and t > limit.t and 'tokens') or nil
end

-- The sums of a window that moves on by seconds: what begun and booked cells it starts with, and what leaves it.
local function window(s, to, booked)
  local from, w = to - WINDOW, { r = 0, t = 0 }
  w.parts = { cells(s, '', from, math.min(s.head, to)), booked and cells(s, 'b', from, math.min(s.last, to)) or {} }
  for _, part in ipairs(w.parts) do
    for _, cell in pairs(part) do
      w.r, w.t = w.r + cell.r, w.t + cell.t
    end
  end
  w.leave = function(sec)
    for _, part in ipairs(w.parts) do
      local cell = part[sec] or { r = 0, t = 0 }
      w.r, w.t = w.r - cell.r, w.t - cell.t
    end
  end
  return w
end

-- What is in the way of beginning now, nil for nothing. Whoever has no booking must leave every booking its room: all
-- windows that contain this second count. Whoever has one, and comes late, need only look back: what begins later
-- looks back itself.
local function crowded(scope, tokens, own)
  local s = rate(scope)
  local full = over(scope, s.r + 1, s.t + tokens)
  if full or own or s.br == 0 or not over(scope, s.r + s.br + 1, s.t + s.bt + tokens) then
    return full
  end
  local w = window(s, s.head, true)
  local ahead = cells(s, 'b', s.head + 1, math.min(s.last, s.head + WINDOW))
  full = over(scope, w.r + 1, w.t + tokens)
  for sec = s.head + 1, math.min(s.last, s.head + WINDOW) do
    local cell = ahead[sec]
    w.leave(sec - 1 - WINDOW)
    if cell then
      w.r, w.t = w.r + cell.r, w.t + cell.t
      full = full or over(scope, w.r + 1, w.t + tokens)
    end
  end
  return full
end

-- The earliest second from `from` on that has room. Nothing is booked after `from`, so that what fits once fits ever
-- after, and after 61 steps the window is empty. One's own late booking looks at what has begun only, as above.
local function earliest(scope, tokens, from, own)
  local s = rate(scope)
  if not (scope.r or scope.t) then
    return from
  end
  local w, sec = window(s, from, not own), from
  while over(scope, w.r + 1, w.t + tokens) and sec <= from + WINDOW do
    w.leave(sec - WINDOW)
    sec = sec + 1
  end
  return sec
end

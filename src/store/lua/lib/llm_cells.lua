-- Changing rates: in memory first, then each hash is written once.
-- Changes a cell, by no more than it has; returns by how much.
local function change(s, field, r, t)
  local cell = s.cells[field]
  if not cell then
    local had_r, had_t = cell_of(redis.call('HGET', s.key, field))
    cell = { r = had_r, t = had_t }
    s.cells[field] = cell
  end
  r, t = math.max(r, -cell.r), math.max(t, -cell.t)
  cell.r, cell.t, s.dirty[field] = cell.r + r, cell.t + t, true
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

-- Ends every call that looked at a rate: writes what changed. The figures come first: a small hash is a list, and they
-- are read by every call.
local function flush_rates()
  for _, s in pairs(rates) do
    local changed, empty = {}, {}
    for _, name in ipairs(FIGURES) do
      if s[name] ~= s.was[name] then
        changed[#changed + 1], changed[#changed + 2] = name, int(s[name])
      end
    end
    for field in pairs(s.dirty) do
      local cell = s.cells[field]
      if cell.r == 0 and cell.t == 0 then
        empty[#empty + 1] = field
      else
        changed[#changed + 1], changed[#changed + 2] = field, int(cell.r) .. ' ' .. int(cell.t)
      end
    end
    if #empty > 0 then
      redis.call('HDEL', s.key, unpack(empty))
    end
    if #changed > 0 then
      redis.call('HSET', s.key, unpack(changed))
    end
    if s.head ~= s.was.head then
      redis.call('EXPIRE', s.key, KEPT)
    end
  end
end

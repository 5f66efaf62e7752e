-- Leaving the line without having been served.

-- Gives back what a job paid that leaves the line without having been served.
local function refund(band, ws)
  load_limits({ [ws] = true })
  redis.call('HINCRBY', qkey('finish:' .. band), ws, int(-limits[ws].step))
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
    refund(h.band, h.ws)
  end
  return out
end

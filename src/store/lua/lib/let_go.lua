-- Puts a held job back in line, or, if it has its time still to come, aside until then. At least one more attempt begins,
-- unless the job's time in line is over at `expires`. `usual`: attempts of a job whose record names none. It is put into
-- `lists` to be placed, or into `later` to be scheduled.
local function let_go(id, record, h, e, expires, usual, outlives, lists, later)
  leave_held(id, e.extra)
  local options = string.match(record, '^[^\t]+\t[^\t]+\t[^\t]*(\t[^\n]*)\n')
  local most = tonumber(string.match(options, '\tM(%d+)\t') or usual)
  local run_at = tonumber(string.match(options, '\tR(%d+)\t')) or 0
  e.state, e.extra, e.attempt = 'w', now_text, math.min(e.attempt, most - 1)
  if run_at > now then
    e.extra = int(run_at)
  end
  redis.call('HSET', attempts_key, id, entry_text(e))
  local left = math.max(math.ceil((expires - now) / 1000), 0)
  redis.call('EXPIRE', idem_key(h.ws, request_of(record)), int(left + tonumber(outlives)))
  if string.find(options, '\tX%d+\t') then
    redis.call('ZADD', expiring_key, int(expires), id)
  end
  if run_at > now then
    later[#later + 1], later[#later + 2] = e.extra, id
    event(id, 'S' .. int(e.attempt) .. ' ')
  else
    lists[h.band] = lists[h.band] or {}
    enlist(lists[h.band], id, h.ws, h.kind, true)
    event(id, 'P' .. int(e.attempt) .. ' ')
  end
end

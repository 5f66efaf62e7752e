-- Sets a job aside that waits in line or for a time, until someone releases it.
local function shelve(id, record, h, e)
  if redis.call('ZREM', scheduled_key, id) == 0 and unline(id, h) then
    unpark_capped(h.ws)
  end
  redis.call('ZREM', expiring_key, id)
  e.state, e.extra = 'h', 'operator'
  hold(id, entry_text(e), idem_key(h.ws, request_of(record)), e.extra, 'H' .. int(e.attempt) .. ' ', id)
end

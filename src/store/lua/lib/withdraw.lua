-- Takes a live job out of wherever it is, as cancelled: a running one loses its lease and its worker is told. The inbox
-- of that worker was checked before the first write.
local function inbox_of(e)
  return base .. ':worker:' .. e.worker .. ':inbox'
end

local function withdraw(id, record, h, e)
  load_limits({ [h.ws] = true })
  if e.state == 'r' then
    local member, inbox = id .. ':' .. e.token, inbox_of(e)
    redis.call('ZREM', running_key, member)
    free_slot(h.ws, member)
    redis.call('RPUSH', inbox, 'cancel ' .. member)
    redis.call('EXPIRE', inbox, '60')
    e.token = '' -- its report, should it come, is stale
  elseif e.state == 'h' then
    leave_held(id, e.extra)
  elseif redis.call('ZREM', scheduled_key, id) == 0 and unline(id, h) then
    unpark_capped(h.ws)
  end
  redis.call('ZREM', expiring_key, id)
  close_unfinished(id, 'c', e, record)
end

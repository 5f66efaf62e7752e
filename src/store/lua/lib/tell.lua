-- The inboxes of the live workers, 100 at most, and the error of one of a wrong type: to be asked before the first write.
local function live_inboxes()
  local workers, types = redis.call('ZRANGEBYSCORE', base .. ':workers', now_text, '+inf', 'LIMIT', '0', '100'), {}
  for i, worker in ipairs(workers) do
    workers[i] = base .. ':worker:' .. worker .. ':inbox'
    types[workers[i]] = 'list'
  end
  return workers, expect_types(types)
end

-- Puts a message into each; returns how many.
local function tell(inboxes, message)
  for _, inbox in ipairs(inboxes) do
    redis.call('RPUSH', inbox, message)
    redis.call('EXPIRE', inbox, '60')
  end
  return int(#inboxes)
end

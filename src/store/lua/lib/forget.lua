-- Removes a dead letter for good; its idempotency key runs out by itself, a day after its death.
local function forget(id, e)
  local label = string.match(e.extra, '^%d+ (.*)$')
  if label then
    count_dead((string.gsub(label, ' ', '\t')), id, -1)
  end
  redis.call('HDEL', jobs_key, id)
  redis.call('HDEL', attempts_key, id)
  redis.call('HDEL', base .. ':progress', id)
  redis.call('HDEL', effects_key, id)
  redis.call('ZREM', qkey('dead'), id)
end

#!lua flags=no-writes
-- Type, time to live and text of keys; content that is no text is asked for key by key. ARGV: keys.
local found = {}
for i, key in ipairs(ARGV) do
  -- In a script a status reply is a table.
  local kind = redis.call('TYPE', key)['ok']
  found[i] = { kind, redis.call('PTTL', key), kind == 'string' and redis.call('GET', key) or false }
end
return found

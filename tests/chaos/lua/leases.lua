#!lua flags=no-writes,allow-stale
-- Every lease of a queue with its deadline and the entry of its job. ARGV: queue.
local q = ARGV[1] == 'default' and '' or ':' .. ARGV[1]
local leases = redis.call('ZRANGEBYSCORE', 'ai:queue:running' .. q, '-inf', '(+inf', 'WITHSCORES')
local found = {}
for i = 1, #leases, 2 do
  found[#found + 1] = leases[i]
  found[#found + 1] = leases[i + 1]
  found[#found + 1] = redis.call('HGET', 'ai:attempts', string.sub(leases[i], 1, 22)) or ''
end
return found

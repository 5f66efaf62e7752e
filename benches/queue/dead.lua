-- Writes dead letters as the store does, without the lives before them: for benches and tests that need many.
-- ARGV: 1 base of the keys, 2 number of the first, 3 when they died (ms), 4 input (JSON), then their ids, 1,000 at most
local base, first, died, input = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local jobs, entries, dead, groups = {}, {}, {}, {}
for i = 5, #ARGV do
  local n, id, at = first + i - 5, ARGV[i], #jobs
  local print = string.format('%012x', n % 50)
  jobs[at + 1], jobs[at + 2] = id, string.format('ws-%02d\techo\t%011x\tseed-%d\n%s', n % 100, n, n, input)
  entries[at + 1], entries[at + 2] = id, 'd\t3\t0\t' .. died .. '\t\t' .. string.rep('0', 22) .. '\t' .. died .. ' echo '
    .. print .. ' error\n{"at":' .. died .. ',"fingerprint":"' .. print
    .. '","message":"the other side answered 503: upstream connect error or disconnect","reason":"error"}'
  dead[at + 1], dead[at + 2] = died, id
  groups[print] = groups[print] or { n = 0 }
  groups[print].n, groups[print].sample = groups[print].n + 1, id
end
redis.call('HSET', base .. ':jobs', unpack(jobs))
redis.call('HSET', base .. ':attempts', unpack(entries))
redis.call('ZADD', base .. ':queue:dead', unpack(dead))
for print, group in pairs(groups) do
  local field = 'default\techo\t' .. print
  local before = string.match(redis.call('HGET', base .. ':dead:groups', field) or '0', '^%d+')
  local facts = { before + group.n, died, died, group.sample, 'error' }
  redis.call('HSET', base .. ':dead:groups', field, table.concat(facts, '\t'))
end
redis.call('SADD', base .. ':queues', 'default')
redis.call('HINCRBY', base .. ':queue:stats', 'enqueue', #dead / 2)
redis.call('HINCRBY', base .. ':queue:stats', 'dead', #dead / 2)
return #dead / 2

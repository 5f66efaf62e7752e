#!lua
-- Purpose: append text to the streams of up to 100 jobs whose attempts are running.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 life of a stream after its last entry (s), 3 wake-ups kept, then five per job, each job once:
--       queue, id, attempt_id, place of the entry or '' to begin an answer, entry
-- Returns: per job the place of its entry, or '' when the attempt is stale
-- Guarantee: a stale attempt changes nothing. Repeated, an entry with a place is written once. An entry that begins an
--            answer takes the place of all before it; places count on, without a gap, while the stream lives.
local told, replies, types = {}, {}, { [base .. ':streamed'] = 'stream' }

local function running(name)
  return base .. ':queue:running' .. (name == 'default' and '' or ':' .. name)
end
local function stream(id)
  return base .. ':job:' .. id .. ':stream'
end

for i = 4, #ARGV, 5 do
  types[running(ARGV[i])], types[stream(ARGV[i + 1])] = 'zset', 'stream'
end
local bad = expect_types(types)
if bad then
  return bad
end
for i = 4, #ARGV, 5 do
  local id, place = ARGV[i + 1], ARGV[i + 3]
  local key = stream(id)
  if not redis.call('ZSCORE', running(ARGV[i]), id .. ':' .. ARGV[i + 2]) then
    replies[#replies + 1] = ''
  else
    if place == '' then
      local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', '1')[1]
      local made, seq = string.match(last and last[1] or now_text .. '-0', '^(%d+)-(%d+)$')
      place = made .. '-' .. int(seq + 1)
      redis.call('XADD', key, 'MAXLEN', '1', place, 'd', ARGV[i + 4])
    else
      -- Refused when it is there already: the reply to an earlier call was lost.
      redis.pcall('XADD', key, place, 'd', ARGV[i + 4])
    end
    redis.call('EXPIRE', key, ARGV[2])
    told[#told + 1], replies[#replies + 1] = id, place
  end
end
if #told > 0 and ARGV[3] ~= '0' then
  redis.call('XADD', base .. ':streamed', 'MAXLEN', '~', ARGV[3], '*', 'j', table.concat(told, ' '))
end
return replies

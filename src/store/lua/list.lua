#!lua flags=no-writes
-- Purpose: ids of one workspace in the order they were made, newest first.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 workspace, 3 hour to start at ('' = now), 4 entries of it already seen, 5 oldest hour, 6 ids wanted
-- Returns: hour and offset where to go on (hour '' at the end), then the ids
-- Guarantee: at most 100 ids and 800 hours a call.
local hour = tonumber(ARGV[3]) or math.floor(now / 3600000)
local seen, oldest, want = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local ids, looked = {}, 0
while hour >= oldest and #ids < want and looked < 800 do
  local key = base .. ':index:' .. ARGV[2] .. ':' .. int(hour)
  local size = redis.call('LLEN', key)
  local last = size - 1 - seen
  if last >= 0 then
    local first = math.max(last - (want - #ids) + 1, 0)
    local part = redis.call('LRANGE', key, int(first), int(last))
    for i = #part, 1, -1 do
      ids[#ids + 1] = part[i]
    end
    seen = seen + #part
  end
  if seen >= size then
    hour, seen = hour - 1, 0
  end
  looked = looked + 1
end
local reply = { hour >= oldest and int(hour) or '', int(seen) }
for _, id in ipairs(ids) do
  reply[#reply + 1] = id
end
return reply

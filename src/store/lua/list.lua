#!lua flags=no-writes
-- Purpose: ids of one workspace in the order they were made, newest first.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 workspace, 3 hour to start at ('' = now), 4 entries of it not yet seen (-1 = all), 5 oldest hour,
--       6 ids wanted
-- Returns: hour and entries of it not yet seen, where to go on (hour '' at the end), then the ids
-- Guarantee: at most 100 ids and 800 hours a call; jobs that arrive between two pages repeat none.
local hour = tonumber(ARGV[3]) or math.floor(now / 3600000)
local left, oldest, want = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local ids, looked = {}, 0
while hour >= oldest and #ids < want and looked < 800 do
  local key = base .. ':index:' .. ARGV[2] .. ':' .. int(hour)
  local size = redis.call('LLEN', key)
  left = left < 0 and size or math.min(left, size)
  if left > 0 then
    local first = math.max(left - (want - #ids), 0)
    local part = redis.call('LRANGE', key, int(first), int(left - 1))
    for i = #part, 1, -1 do
      ids[#ids + 1] = part[i]
    end
    left = first
  end
  if left == 0 then
    hour, left = hour - 1, -1
  end
  looked = looked + 1
end
local reply = { hour >= oldest and int(hour) or '', int(left) }
for _, id in ipairs(ids) do
  reply[#reply + 1] = id
end
return reply

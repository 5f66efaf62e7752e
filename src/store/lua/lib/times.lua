-- When a job was made and its last moment in line, in ms: as its id says, unless its record says otherwise.
local IN_LINE = 604800000 -- 7 days: the time in line of a job that names none
local DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~'

-- The first characters of an id as a number. The first holds 2 of its 128 bits, each other 6; the time is the first 48.
local function leading(id, chars)
  local n = 0
  for i = 1, chars do
    n = n * 64 + string.find(DIGITS, string.sub(id, i, i), 1, true) - 1
  end
  return n
end

local function times_of(id, record)
  local created, expires = string.match(record, '^[^\t]+\t[^\t]+\t[^\t]*\tC?(%d*)\t?X(%d+)\t')
  created = tonumber(created) or math.floor(leading(id, 9) / 4)
  return created, tonumber(expires) or created + IN_LINE
end

-- A record with other times than it came with.
local function with_times(record, created, expires)
  local head, rest = string.match(record, '^([^\t]+\t[^\t]+\t[^\t]*\t)(.*)$')
  rest = string.gsub(string.gsub(rest, '^C%d+\t', ''), '^X%d+\t', '')
  return head .. string.format('C%013.0f\tX%013.0f\t', created, expires) .. rest
end

-- Whether a job's last moment in line has passed. `option`: the first letter of its options, if it has any. Ids that
-- begin alike are of the same 65,536 ms, and while the first of these is in time all are.
local recent = {}
local function is_late(id, record, option)
  if option ~= 'C' and option ~= 'X' then
    local minute = string.sub(id, 1, 6)
    if recent[minute] == nil then
      recent[minute] = leading(id, 6) * 65536 + IN_LINE > now
    end
    if recent[minute] then
      return false
    end
  end
  local _, expires = times_of(id, record)
  return expires < now
end

-- What an enqueue answers and writes beside the line: the key and the listing index.
local INDEX_LIFE = '2764800' -- 32 days: a job may wait 30 and is kept a day more

local indexed = ARGV[3] == '1'
local hour = int(math.floor(now / 3600000))

-- By workspace: new ids in order, the key of its index, and how many that had before.
local index, index_key, index_length = {}, {}, {}

-- The first argument of each item is at first, first + width, …; its workspace is the third.
local function check_types(first, width)
  local types, seldom = line_types()
  types[base .. ':indexes'] = 'zset'
  local bad = expect_types(types, seldom)
  for p = first + 2, (indexed and not bad) and #ARGV or 0, width do
    local ws = ARGV[p]
    if not index[ws] then
      -- Says as much as TYPE, and the answer is of use.
      local key = base .. ':index:' .. ws .. ':' .. hour
      local length = redis.pcall('LLEN', key)
      if type(length) ~= 'number' then
        return redis.error_reply('WLTYPE ' .. key .. ' is not a list')
      end
      index[ws], index_key[ws], index_length[ws] = {}, key, length
    end
  end
  return bad
end

-- A key holds its job's id and the body's fingerprint: `value` if it is ours, `held` in any case.
local function answer(value, held)
  if type(held) ~= 'string' then
    return 'E'
  elseif held == value then
    return 'n'
  end
  return (string.sub(held, 23) == string.sub(value, 23) and 'r' or 'm') .. string.sub(held, 1, 22)
end

local function write_index()
  for ws, ids in pairs(index) do
    if #ids > 0 then
      redis.call('RPUSH', index_key[ws], unpack(ids))
      if index_length[ws] == 0 then
        redis.call('EXPIRE', index_key[ws], INDEX_LIFE)
        redis.call('ZADD', base .. ':indexes', hour, ws .. ':' .. hour)
      end
    end
  end
end

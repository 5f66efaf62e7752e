-- What an enqueue answers and writes beside the line: the key, the listing index, jobs that wait for a time.
local INDEX_LIFE = '2764800' -- 32 days: a job may wait 30 and is kept a day more

local function index_key(ws)
  return base .. ':index:' .. ws .. ':' .. int(math.floor(now / 3600000))
end

-- items: the first argument of each is at 8, 8 + width, …
local function enqueue_types(n, width)
  local types = line_types()
  types[base .. ':indexes'] = 'zset'
  for i = 1, n do
    types[index_key(ARGV[9 + (i - 1) * width])] = 'list'
  end
  return types
end

local function answer(id, print, held)
  if type(held) ~= 'string' then
    return 'E'
  end
  local owner, body = string.sub(held, 1, 22), string.sub(held, 23)
  local same = body == print
  return (same and (owner == id and 'n' or 'r') or 'm') .. owner
end

local function enqueue_index(by_workspace)
  if ARGV[3] ~= '1' then
    return
  end
  local hour = int(math.floor(now / 3600000))
  for ws, ids in pairs(by_workspace) do
    local key = index_key(ws)
    if redis.call('RPUSH', key, unpack(ids)) == #ids then
      redis.call('EXPIRE', key, INDEX_LIFE)
      redis.call('ZADD', base .. ':indexes', hour, ws .. ':' .. hour)
    end
  end
end

-- Walks a set of jobs from a position that survives what happens to the set meanwhile.

-- By bytes, as Redis sorts members; Lua's own comparison goes by the locale.
local function is_before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then
      return x < y
    end
  end
  return #a < #b
end

-- The rank of the first element of a sorted set behind `score` and `member`, which may be gone or elsewhere. Any number
-- of elements may have one score.
local function rank_behind(key, score, member)
  local rank = redis.call('ZRANK', key, member)
  if rank and redis.call('ZSCORE', key, member) == score then
    return rank + 1
  end
  local low, high = redis.call('ZCOUNT', key, '-inf', '(' .. score), redis.call('ZCOUNT', key, '-inf', score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if is_before(member, redis.call('ZRANGE', key, int(middle), int(middle))[1]) then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

-- Walks up to `most` elements with scores from `from` and below `to`, a few at a time: `visit(members)` says how many the
-- next time, or nothing, and at which of them it is enough. Returns where to go on, '' at the end.
local function walk_sorted(key, position, from, to, most, visit)
  local score, member = string.match(position, '^([^:]*):(.*)$')
  local rank = score and rank_behind(key, score, member) or redis.call('ZCOUNT', key, '-inf', '(' .. from)
  local over = redis.call('ZCOUNT', key, '-inf', '(' .. to)
  local last, size, member, at = math.min(rank + most, over), 4, nil, nil
  while size and rank < last do
    local members = redis.call('ZRANGE', key, int(rank), int(math.min(rank + size, last) - 1))
    size, at = visit(members)
    at = at or #members
    rank, member = rank + at, members[at]
  end
  return (rank < over and member) and redis.call('ZSCORE', key, member) .. ':' .. member or ''
end

-- The same for a hash. A hash has another order in another process: there the walk begins anew.
local function walk_hash(key, position, most, visit)
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  local known, cursor = string.match(position, '^(%w+):(%d+)$')
  cursor = known == run and cursor or '0'
  local seen, stop = 0, false
  repeat
    local page = redis.call('HSCAN', key, cursor, 'COUNT', '10')
    cursor = page[1]
    for i = 1, #page[2], 2 do
      stop = visit(page[2][i], page[2][i + 1]) or stop
    end
    seen = seen + #page[2] / 2
  until cursor == '0' or stop or seen >= most
  return cursor == '0' and '' or run .. ':' .. cursor
end

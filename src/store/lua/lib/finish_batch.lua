-- Ends `n` attempts whose items start at ARGV[at]; returns the replies, and whether one of them is now the first to become due.
local function finish(at, n, ttl)
  local members, replies, valid, names = {}, {}, {}, {}
  for i = 1, n do
    local p = at + (i - 1) * FINISH_WIDTH
    members[i] = ARGV[p] .. ':' .. ARGV[p + 1]
  end
  if n == 0 then
    return replies, false
  end
  local scores = redis.call('ZMSCORE', running_key, unpack(members))
  local lists, codes, seen = {}, {}, {}
  for i = 1, n do
    local p = at + (i - 1) * FINISH_WIDTH
    if scores[i] and not seen[members[i]] then
      seen[members[i]] = true
      valid[#valid + 1] = members[i]
      names[ARGV[p + 3]] = true
      replies[i] = '1'
    else
      replies[i] = done_before(ARGV[p], ARGV[p + 1]) and '2' or '0'
    end
  end
  if #valid == 0 then
    return replies, false
  end
  redis.call('ZREM', running_key, unpack(valid))
  load_limits(names)
  for i = 1, n do
    if replies[i] == '1' then
      local p = at + (i - 1) * FINISH_WIDTH
      local code, ws = ARGV[p + 2], ARGV[p + 3]
      finish_as[code](ARGV[p], ws, ARGV[p + 4], ARGV[p + 5], ARGV[p + 6], lists, ttl)
      codes[code] = (codes[code] or 0) + 1
      if limits[ws].cap then
        free_slot(ws, members[i])
      end
    end
  end
  place_all(lists)
  count('succeeded', codes.s or 0)
  count('retried', codes.r or 0)
  count('released', codes.u or 0)
  return replies, schedule(finish_later)
end

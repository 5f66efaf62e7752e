-- Takes the leases. Says which of them were there, or nothing when all were. A lease and the token in its job's entry
-- end in the same script, so the entry tells of a lease that was just taken.
local function take_leases(members)
  if redis.call('ZREM', running_key, unpack(members)) == #members then
    return nil
  end
  local held, ids = {}, {}
  for i, member in ipairs(members) do
    ids[i] = string.sub(member, 1, 22)
  end
  for i, text in ipairs(redis.call('HMGET', attempts_key, unpack(ids))) do
    local token = text and string.match(text, '^r\t%d+\t%d+\t%d*\t[^\t]*\t([^\t]*)')
    held[members[i]] = token == string.sub(members[i], 24)
  end
  return held
end

-- Ends `n` attempts, told from ARGV[at] on; returns the replies, and whether one of them is now the first to
-- become due.
local function finish(at, n, ttl)
  local members, replies, lists, codes = {}, {}, {}, { s = 0, r = 0, u = 0, d = 0, h = 0 }
  if n == 0 then
    return replies, false
  end
  for i = 1, n do
    members[i] = ARGV[at + 1 + (i - 1) * FINISH_WIDTH]
  end
  local stamped, whats = is_now(ARGV[at]), {} -- by code: what the event of a success says
  local held = take_leases(members)
  load_limits({})
  for i, member in ipairs(members) do
    if held and not held[member] then
      replies[i] = done_before(member) and '2' or '0'
    else
      if held then
        held[member] = nil -- named twice, it is stale the second time
      end
      local p = at + 1 + (i - 1) * FINISH_WIDTH
      local id, code, key = string.sub(member, 1, 22), ARGV[p + 1], ARGV[p + 2]
      replies[i] = '1'
      local letter = whats[code] and 's' or string.sub(code, 1, 1)
      if stamped and letter == 's' then
        codes.s = codes.s + 1
        whats[code] = whats[code] or code .. ' '
        close(id, whats[code], key, ARGV[p + 4], member)
      else
        if string.sub(code, -1) == 'x' then
          drop_intents(id, string.sub(member, 24))
          code = string.sub(code, 1, -2)
        end
        codes[letter] = codes[letter] + 1
        finish_as[letter](member, id, string.sub(code, 2), key, ARGV[p + 3], ARGV[p + 4], lists, ttl)
      end
      if any_limits then
        free_slot(workspace_of(key), member)
      end
    end
  end
  place_all(lists)
  count('succeeded', codes.s)
  count('retried', codes.r)
  count('released', codes.u)
  return replies, schedule(finish_later)
end

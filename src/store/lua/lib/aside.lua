-- Jobs that stop with their record kept: dead letters and held jobs.

-- Groups of dead letters that are kept; what dies of further causes is counted as `other` of its queue and type.
local MOST_GROUPS = 5000

-- Adds n to a group of dead letters (n = -1 on redrive). `label` is type \t fingerprint \t reason.
local function count_dead(label, id, n)
  local key = base .. ':dead:groups'
  local kind, print, reason = string.match(label, '^([^\t]*)\t([^\t]*)\t(.*)$')
  local field = queue .. '\t' .. kind .. '\t' .. print
  local known = redis.call('HGET', key, field)
  if not known and (n < 0 or redis.call('HLEN', key) >= MOST_GROUPS) then
    field = queue .. '\t' .. kind .. '\tother'
    known = redis.call('HGET', key, field)
  end
  local total, first, last, sample = string.match(known or '', '^(%d+)\t(%d+)\t(%d+)\t([^\t]*)')
  total = (tonumber(total) or 0) + n
  if total <= 0 then
    redis.call('HDEL', key, field)
    return
  end
  if n > 0 then
    last, sample = now_text, id
  end
  redis.call('HSET', key, field, int(total) .. '\t' .. (first or now_text) .. '\t' .. last .. '\t' .. sample .. '\t' .. reason)
end

-- A job that is given up on keeps its record in ai:jobs, for 30 days and for redrive.
local function bury(id, entry, key, label, ttl, member)
  entry.state, entry.extra = 'd', now_text .. ' ' .. string.gsub(label, '\t', ' ')
  redis.call('HSET', attempts_key, id, entry_text(entry))
  redis.call('ZADD', qkey('dead'), now_text, id)
  redis.call('EXPIRE', key, ttl)
  count_dead(label, id, 1)
  count('dead', 1)
  event(member or id, 'd' .. int(entry.attempt) .. ' ')
end

-- A job that waits for a decision. Its idempotency key has no end until then. `text` is its entry, `what` letter,
-- attempt and a blank.
local function hold(id, text, key, reason, what, member)
  redis.call('HSET', attempts_key, id, text)
  redis.call('ZADD', qkey('held'), now_text, id)
  redis.call('PERSIST', key)
  count('held:' .. reason, 1)
  if reason == 'outcome_unknown' then
    count('outcome_unknown', 1)
  end
  event(member, what)
end

-- A held job waits no more. What an older version held was not counted: no count falls below nothing.
local function leave_held(id, reason)
  redis.call('ZREM', qkey('held'), id)
  if redis.call('HINCRBY', stats_key, 'held:' .. reason, '-1') < 0 then
    redis.call('HSET', stats_key, 'held:' .. reason, '0')
  end
end

-- Poison: the third crash. One that may have left an effect behind is for a person to decide.
local function give_up(id, e, h, key, ttl, member)
  local doubt = in_doubt(id)
  e.failure = '{"reason":"' .. (doubt and 'outcome_unknown' or 'poison')
    .. '","message":"crashed its worker process 3 times","at":' .. now_text .. '}'
  if doubt then
    e.state, e.extra = 'h', 'outcome_unknown'
    hold(id, entry_text(e), key, e.extra, 'H' .. int(e.attempt) .. ' ', member)
  else
    bury(id, e, key, h.kind .. '\tpoison\tpoison', ttl, member)
  end
end

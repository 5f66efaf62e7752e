-- Ends attempts in a batch: the time of the ends if it is the time, then items of 5: id:attempt_id, letter and attempt
-- count to keep, idempotency key, one, two.
--   s  succeeded  two = done record with that time
--   r  retry      one = delay ms; two = attempt \t crashes \t started \t attempt_id, \n, failure, and so below
--   u  give back uncharged, one = delay ms
--   d  dead       one = type \t fingerprint \t reason
--   h  hold       one = reason
-- An x behind the count: what this attempt's effects meant certainly did not happen, so its intents are dropped.
-- Returns a reply per item: 1 done, 2 done before by this attempt, 0 stale.
local FINISH_WIDTH = 5

local function waiting_entry(state, two, extra)
  local counts, token, failure = string.match(two, '^(%d+\t%d+\t%d*)\t([^\n]*)\n(.*)$')
  return state .. '\t' .. counts .. '\t\t' .. token .. '\t' .. extra .. '\n' .. failure
end

-- Whether this very attempt ended the job before: the reply to that call was lost.
local function done_before(member)
  local id, token = string.sub(member, 1, 22), string.sub(member, 24)
  local hour = math.floor(now / 3600000)
  local kept = redis.call('HGET', attempts_key, id) or redis.call('HGET', base .. ':done:' .. int(hour), id)
    or redis.call('HGET', base .. ':done:' .. int(hour - 1), id)
  local head = kept and string.match(kept, '^[^\n]*') or ''
  return string.sub(head, 1, 1) ~= 'r' and string.find(head, token, 1, true) ~= nil
end

local finish_as, finish_later = {}, {}

function finish_as.s(member, id, attempt, key, one, two)
  close(id, 's' .. attempt .. ' ', key, 's\t' .. now_text .. string.sub(two, 16), member)
end

function finish_as.r(member, id, attempt, key, delay, two, lists)
  local due = now + tonumber(delay)
  redis.call('HSET', attempts_key, id, waiting_entry('w', two, int(due)))
  if tonumber(delay) > 0 then
    finish_later[#finish_later + 1], finish_later[#finish_later + 2] = int(due), id
    event(member, 'S' .. attempt .. ' ')
  else
    local record = redis.call('HGET', jobs_key, id)
    if record then
      add_to(lists, header(record), id, true)
      event(member, 'P' .. attempt .. ' ')
    end
  end
end

finish_as.u = finish_as.r

function finish_as.d(member, id, attempt, key, label, two, lists, ttl)
  -- What an earlier attempt may have done is no reason to be buried: a person looks at it.
  if in_doubt(id) then
    finish_as.h(member, id, attempt, key, 'outcome_unknown', two)
  else
    bury(id, entry_of(waiting_entry('d', two, '')), key, label, ttl, member)
  end
end

function finish_as.h(member, id, attempt, key, reason, two)
  hold(id, waiting_entry('h', two, reason), key, reason, 'H' .. attempt .. ' ', member)
end

-- Ends attempts in a batch. Items of 7: id, attempt_id, code, workspace, facts, one, two.
--   s  succeeded  facts = attempt \t crashes \t started \t attempt_id, one = request_id, two = done tail
--   r  retry      one = delay ms, two = failure      u  give back uncharged, one = delay ms, two = failure
--   d  dead       one = type \t fingerprint \t reason, two = failure
--   h  hold       one = reason, two = failure
-- facts of r, u, d, h carry the attempt count to keep. Returns a reply per item: 1 done, 2 done
-- before by this attempt, 0 stale.
local FINISH_WIDTH = 7

local function waiting_entry(state, facts, extra, failure)
  local counts, token = string.match(facts, '^(%d+\t%d+\t%d*)\t(.*)$')
  return state .. '\t' .. counts .. '\t\t' .. token .. '\t' .. extra .. '\n' .. failure
end

-- Whether this very attempt ended the job before: the reply to that call was lost.
local function done_before(id, token)
  local hour = math.floor(now / 3600000)
  local kept = redis.call('HGET', attempts_key, id) or redis.call('HGET', base .. ':done:' .. int(hour), id)
    or redis.call('HGET', base .. ':done:' .. int(hour - 1), id)
  local head = kept and string.match(kept, '^[^\n]*') or ''
  return string.sub(head, 1, 1) ~= 'r' and string.find(head, token, 1, true) ~= nil
end

local finish_as, finish_later = {}, {}

function finish_as.s(id, ws, facts, request, tail)
  close(id, 's', facts, idem_key(ws, request), tail)
end

function finish_as.r(id, ws, facts, delay, failure, lists)
  local attempt = string.match(facts, '^%d+')
  local due = now + tonumber(delay)
  redis.call('HSET', attempts_key, id, waiting_entry('w', facts, int(due), failure))
  if tonumber(delay) > 0 then
    finish_later[#finish_later + 1], finish_later[#finish_later + 2] = int(due), id
    event(id, 'S', attempt)
  else
    local record = redis.call('HGET', jobs_key, id)
    if record then
      add_to(lists, header(record), id, true)
      event(id, 'P', attempt)
    end
  end
end

finish_as.u = finish_as.r

function finish_as.d(id, ws, facts, label, failure, lists, ttl)
  local record = redis.call('HGET', jobs_key, id)
  if record then
    local e = entry_of(waiting_entry('d', facts, '', failure))
    bury(id, e, idem_key(ws, request_of(record)), label, ttl)
  end
end

function finish_as.h(id, ws, facts, reason, failure)
  local record = redis.call('HGET', jobs_key, id)
  redis.call('HSET', attempts_key, id, waiting_entry('h', facts, reason, failure))
  redis.call('ZADD', qkey('held'), now_text, id)
  if record then
    redis.call('PERSIST', idem_key(ws, request_of(record)))
  end
  event(id, 'H', string.match(facts, '^%d+'))
end

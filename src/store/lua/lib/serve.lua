-- The claim half that claim and cycle share: ARGV 2-11 as their headers say.
-- A job that waits for another kind of worker is offered round once: the longest idle worker hears
-- the bell first, so as many tokens as there are workers reach each of them.
-- `sooner`: a due time earlier than all others came in. If this worker is full, another has to know.
local function serve(due, replies, sooner)
  local types = {}
  for kind in string.gmatch(ARGV[11], '[^ ]+') do
    types[kind] = true
  end
  local want, facts = tonumber(ARGV[5]), '\t' .. now_text .. '\t' .. ARGV[6] .. '\t' .. ARGV[7] .. '\t\n'
  local fresh = 'r\t1\t0' .. facts
  local jobs, waiting = claim({
    want = want, tail = ':' .. ARGV[7], facts = facts, fresh = fresh, deadline = int(now + tonumber(ARGV[8])),
    may_suspect = ARGV[9] == '1', types = types,
  })
  flush_closed(ARGV[3], ARGV[4])
  local in_order = settle()
  local declined = #jobs == 0 and (waiting > 0 or fresh_waiting)
  local pass_on = false
  if fresh_waiting then
    redis.call('HSET', parked_key, 'hops', int(live_workers()))
    pass_on = true
  elseif declined then
    pass_on = redis.call('HINCRBY', parked_key, 'hops', '-1') >= 0
  end
  if not blocks()['q'] and (in_order > 0 or pass_on or (sooner and accepted >= want)) then
    ring()
  end
  return { flush_events(ARGV[2], ARGV[7]), int(due), declined and '1' or '0', replies, fresh, again, jobs }
end

#!lua
-- Purpose: note a queue's counters every few seconds, so that its rates can be told from Redis, whoever asks.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 slots of one of its workers, or '' while none lives
-- Returns: 1 when it was noted, 0 when the last note is younger than 8 s
-- Guarantee: 40 notes at most; any number of processes may call it at once.
local pace, running_key = qkey('pace'), qkey('running')
local bad = expect_types({ [pace] = 'hash', [stats_key] = 'hash', [running_key] = 'zset' })
if bad then
  return bad
end
local known = redis.call('HMGET', pace, 'notes', 'run_ms')
local notes = known[1] or ''
local at, _, dequeued, running = string.match(notes, '(%d+):(%d+):(%d+):(%d+)$')
if at and now - tonumber(at) < 8000 then
  return 0
end
local stats = redis.call('HMGET', stats_key, 'enqueue', 'dequeue')
local claimed = tonumber(stats[2] or '0')
local held = redis.call('ZCOUNT', running_key, '-inf', '(+inf')
if at and claimed < tonumber(dequeued) then
  notes, at = '', nil -- Redis was restored: the counters of before tell nothing
end
if at and claimed > tonumber(dequeued) then
  -- Little's law: slots held over jobs claimed. Smoothed, because two moments are a small sample.
  local run = (held + tonumber(running)) / 2 * (now - tonumber(at)) / (claimed - tonumber(dequeued))
  local before = tonumber(known[2])
  redis.call('HSET', pace, 'run_ms', int(math.floor(before and before * 0.7 + run * 0.3 or run)))
end
local note = now_text .. ':' .. int(tonumber(stats[1] or '0')) .. ':' .. int(claimed) .. ':' .. int(held)
notes = notes == '' and note or notes .. ' ' .. note
local _, blanks = string.gsub(notes, ' ', ' ')
if blanks >= 40 then
  notes = string.gsub(notes, '^%S+ ', '')
end
redis.call('HSET', pace, 'notes', notes)
if ARGV[2] ~= '' then
  redis.call('HSET', pace, 'slots', ARGV[2])
end
return 1

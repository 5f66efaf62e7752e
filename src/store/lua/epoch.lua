#!lua flags=allow-oom
-- Purpose: give the state a new epoch when an entry of the transition log is gone that someone was told of.
-- KEYS: 1 <base>:jobs
-- ARGV: 1 the epoch that the caller read, 2 the entry (ms-seq) it was told of, 3 a new epoch
-- Returns: the epoch from now on; '' if there is none
-- Guarantee: of many callers that miss entries under one epoch, one changes it. An entry that was only trimmed changes
--            nothing.
local base = string.sub(KEYS[1], 1, -6)
local log, held = base .. ':events', redis.call('GET', base .. ':epoch')
if held ~= ARGV[1] then
  return held or ''
end

local function before(a, b)
  local a_ms, a_seq = string.match(a, '^(%d+)-(%d+)$')
  local b_ms, b_seq = string.match(b, '^(%d+)-(%d+)$')
  a_ms, b_ms = tonumber(a_ms), tonumber(b_ms)
  return a_ms < b_ms or (a_ms == b_ms and tonumber(a_seq) < tonumber(b_seq))
end

local last, info = '0-0', redis.pcall('XINFO', 'STREAM', log)
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then
    last = info[i + 1]
  end
end
local gone = before(last, ARGV[2])
if not gone and #redis.call('XRANGE', log, ARGV[2], ARGV[2]) == 0 then
  local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', '1')[1]
  gone = oldest and not before(ARGV[2], oldest[1])
end
if gone then
  redis.call('SET', base .. ':epoch', ARGV[3])
  return ARGV[3]
end
return held

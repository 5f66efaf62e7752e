#!lua flags=allow-oom
-- Purpose: put or remove a credential of a workspace, or give back the turn to renew one. Its content is opaque.
-- Uses: base
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 'put', 'remove' or 'leave', 3 workspace, 4 name, then of put: 5 the revision it replaces ('0' for none),
--       6 record, 7 '1' when it needs someone to renew it, 8 most of a workspace; of leave: 5 holder of the turn
-- Returns: of put the new revision, or 'changed' or 'full'; of remove and leave '1' done, '0' there was nothing
-- Guarantee: one of several puts that replace the same revision wins; a revision never comes again, not even after a
--            removal. Runs on a full Redis: a renewed token that is not stored is lost.
local kind, field, turn = ARGV[2], ARGV[3] .. '/' .. ARGV[4], nil
local all, names = base .. ':credentials', base .. ':credentials:' .. ARGV[3]
local latest, doubtful = base .. ':credential:revision', base .. ':credential:reauth'
turn = base .. ':credential:turn:' .. field
local types = { [all] = 'hash', [names] = 'set', [latest] = 'string', [doubtful] = 'set', [turn] = 'string' }
local bad = expect_types(types)
if bad then
  return bad
end
if kind == 'leave' then
  if redis.call('GET', turn) ~= ARGV[5] then
    return '0'
  end
  redis.call('DEL', turn)
  return '1'
end
if kind == 'remove' then
  redis.call('SREM', names, ARGV[4])
  redis.call('SREM', doubtful, field)
  return int(redis.call('HDEL', all, field))
end
local stored = redis.call('HGET', all, field)
local had = stored and string.match(stored, '^%d+') or '0'
if had ~= ARGV[5] then
  return 'changed'
end
if not stored and redis.call('SCARD', names) >= tonumber(ARGV[8]) then
  return 'full'
end
-- Larger than any before, also where Redis lost the counter.
local revision = int(math.max(tonumber(redis.call('GET', latest) or '0') + 1, now))
redis.call('SET', latest, revision)
redis.call('HSET', all, field, revision .. '\t' .. ARGV[6])
redis.call('SADD', names, ARGV[4])
redis.call(ARGV[7] == '1' and 'SADD' or 'SREM', doubtful, field)
return revision

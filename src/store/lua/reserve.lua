#!lua flags=allow-oom
-- Purpose: take a call's share of every limit before it begins, or book one for later.
-- Uses: base llm llm_rate llm_cells llm_room llm_share llm_breaker llm_ledger llm_close llm_choose llm_pick
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 job, 3 call, 4 workspace, 5 hold (ms), 6-9 limits of a workspace that has none of its own, then 12 per
--       candidate: provider, model, tokens, nano-USD, limits of the provider (4), of the model (4)
-- Returns: now ms, then granted, candidate (from 0), 1 for the probe | later, at ms, whose limit, which |
--          never, whose limit, which
-- Guarantee: no share is counted twice, nor for a repeat of the same call. What begins leaves every booking its room.
-- An open call of the same job is a dead worker's: all it held is given back but for its tokens of this minute and its
-- money, since it may have been billed. 20 reservations at most that ran out are given back.
local job, call, expiry = ARGV[2], ARGV[3], now + tonumber(ARGV[5])
local EARLY, candidates = 50, {}
local types = { [held_key] = 'hash', [holds_key] = 'zset', [llm .. 'limits'] = 'hash' }
local bad = expect_types(types)
if bad then
  return bad
end
local old, gone = held(redis.call('HGET', held_key, job)), run_out()
local own_quota = redis.call('HGET', llm .. 'limits', ARGV[4])
local quota = own_quota and quota_of(own_quota) or { unpack(ARGV, 6, 9) }
for at = 10, #ARGV, 12 do
  local c = { provider = ARGV[at], model = ARGV[at + 1], ws = ARGV[4], tokens = tonumber(ARGV[at + 2]), call = call }
  c.nano, c.day, c.target, c.at = tonumber(ARGV[at + 3]), day_of(second), c.provider .. '/' .. c.model, now_text
  c.index, c.scopes = #candidates, scopes_of(c.provider, c.model, c.ws)
  limited(c.scopes[1], ARGV, at + 4)
  limited(c.scopes[2], ARGV, at + 8)
  limited(c.scopes[3], quota, 1)
  candidates[c.index + 1] = c
  held_types(types, c)
end
for _, found in ipairs(gone) do
  held_types(types, found.r or candidates[1])
  old = found.job ~= job and old or nil
end
bad = expect_types(old and held_types(types, old) or types)
if bad then
  return bad
end
give_back_all(gone)

if old then
  local same = nil
  for _, c in ipairs(candidates) do
    same = same or (c.target == old.target and c or nil)
  end
  if same and old.state == 'g' and old.call == call then
    flush_rates()
    return { now_text, 'granted', int(same.index), old.probe and '1' or '0' }
  elseif same and old.state == 'b' and now < tonumber(old.at) - EARLY then
    return later(old.whose, old.kind, old.at)
  end
  give_back(job, old)
  if same and old.state == 'b' then
    same.own = true
    table.sort(candidates, function(a, b) return (a.own and -1 or a.index) < (b.own and -1 or b.index) end)
  end
end
return pick(job, candidates, expiry)

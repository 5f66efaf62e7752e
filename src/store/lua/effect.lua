#!lua flags=allow-oom
-- Purpose: put on record what an attempt is about to do outside, what a lookup would need of it, and its receipt.
-- Uses: base effects
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, 2 id, 3 attempt_id, 4 attempt number, 5 step, 6 begin, note or receipt, 7 class or document; to begin
--       also 8 to be done again (1/0), 9 the revision of the rules it was judged by
-- Returns: fresh (written) | found, now ms, epoch, line | policy, revision in force | stale
-- Guarantee: a stale attempt changes nothing, nor does one that meets another's record or other rules. A repeat by the
--            same attempt answers the same. An intent that is done again keeps its first moment and what was noted.
local id, token, step, what = ARGV[2], ARGV[3], ARGV[5], ARGV[6]
local bad = expect_types({
  [qkey('running')] = 'zset', [effects_key] = 'hash', [base .. ':policy'] = 'hash', [base .. ':epoch'] = 'string',
})
if bad then
  return bad
end
if not redis.call('ZSCORE', qkey('running'), id .. ':' .. token) then
  return { 'stale' }
end
local text = effects_of(id)
local e = effect_of(text, step)
local mine = e and e.token == token

if what == 'begin' then
  local revision = redis.call('HGET', base .. ':policy', 'rev') or ''
  if revision ~= ARGV[9] then
    return { 'policy', revision }
  elseif e and (e.state == 'd' or (not mine and ARGV[8] ~= '1')) then
    return { 'found', now_text, redis.call('GET', base .. ':epoch') or '', e.line }
  elseif not mine then
    local first, noted = e and e.first or now_text, e and e.document or 'null'
    put_effect(id, text, {
      step = step, state = 'i', class = ARGV[7], attempt = ARGV[4], token = token, first = first, by = '',
      document = noted,
    })
  end
  return { 'fresh' }
end
if what == 'note' then
  if not mine or e.state ~= 'i' then
    return { 'stale' }
  end
  e.document = ARGV[7]
  put_effect(id, text, e)
elseif not (e and e.state == 'd') then
  -- Where Redis lost the intent there is nothing left to learn its class from; a receipt needs none.
  e = e or { step = step, class = 'once', first = now_text }
  e.state, e.attempt, e.token, e.by, e.document = 'd', ARGV[4], token, '', ARGV[7]
  put_effect(id, text, e)
end
return { 'fresh' }

#!lua flags=allow-oom
-- Purpose: end a call: what it used instead of what it might have used, its place free, its cost in the ledger.
-- Uses: base llm llm_rate llm_cells llm_room llm_share llm_breaker llm_verdict llm_ledger llm_close
-- KEYS: 1 <base>:jobs
-- ARGV: 1 '-', 2 job, 3 call, 4 input, 5 cached, 6 reasoning, 7 output tokens, 8 estimated (1 or 0), 9 nano-USD or '',
--       10 verdict, 11 ms to leave the target alone, 12 status, 13, 14 requests and tokens that the provider says are
--       left or '', 15 ms that it took
-- Returns: now ms, then 1, or 0 for a call that holds no reservation
-- Guarantee: only the call that holds the job's reservation counts, once: a late one was counted as a dead worker's when
-- it lost the reservation, in the ledger too. What the provider says can only lower a limit's room.
local job, call = ARGV[2], ARGV[3]
local bad = expect_types({ [held_key] = 'hash', [holds_key] = 'zset' })
if bad then
  return bad
end
local r = held(redis.call('HGET', held_key, job))
if not r or r.state ~= 'g' or r.call ~= call then
  return { now_text, '0' }
end
bad = expect_types(held_types({}, r))
if bad then
  return bad
end
local input, output, took = tonumber(ARGV[4]), tonumber(ARGV[7]), tonumber(ARGV[15])
local cost, status = tonumber(ARGV[9]), ARGV[12]

for _, scope in ipairs(r.scopes) do
  local s = rate(scope)
  count_begun(s, r.cell, 0, input + output - r.tokens)
  s.took = s.took == 0 and took or math.floor(s.took * 0.8 + took * 0.2)
  if r.nano > 0 or cost then
    pay(scope, r.day, cost or 0, -r.nano)
  end
end
-- Room beyond what the provider says is left is used up in the cell of this second. Its figures are a model's, unless
-- only the provider as a whole is limited here.
local s = rate(r.scopes[2])
s = s.lr + s.lt > 0 and s or rate(r.scopes[1])
local left_r, left_t = tonumber(ARGV[13]), tonumber(ARGV[14])
local more_r = s.lr > 0 and left_r and math.max(s.lr - s.r - left_r, 0) or 0
local more_t = s.lt > 0 and left_t and math.max(s.lt - s.t - left_t, 0) or 0
if more_r + more_t > 0 then
  count_begun(s, s.head, more_r, more_t)
end
judge(r.target, ARGV[10], tonumber(ARGV[11]), status, r.probe and end_probe(r.target, job))
enter(r, {
  calls = 1, failed = status ~= 'ok' and 1 or 0, input = input, cached = tonumber(ARGV[5]),
  reasoning = tonumber(ARGV[6]), output = output, nano_usd = cost or 0, estimated = tonumber(ARGV[8]),
  unpriced = cost and 0 or 1,
})
drop(job, r)
flush_rates()
return { now_text, '1' }

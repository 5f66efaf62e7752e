#!lua flags=allow-oom
-- Purpose: lift pauses and bring back at most 100 parked jobs per band; called again while it answers more.
-- Uses: base line park settle
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue, then what: q, drain, t:<type>, w:<workspace>
-- Returns: number of jobs brought back by this call
-- Guarantee: parked jobs keep the tag, and so the place, they had.
local bad = expect_types(line_types())
if bad then
  return bad
end
for i = 2, #ARGV do
  redis.call('HDEL', qkey('blocked'), ARGV[i])
end
local moved = 0
for i = 2, #ARGV do
  for _, band in ipairs(bands) do
    moved = moved + unpark(band, ARGV[i], 100)
  end
end
if settle() > 0 then
  ring()
end
return moved

-- A bucket is left behind: so is whom it skipped.
local function forget_met()
  if ARGV[10] == 'place' then
    redis.call('DEL', met_key)
  end
end

-- The end of a step: its counts and its place go on record.
local function end_step(done)
  local prefix, total = ARGV[15] == '1' and 'again:' or 'skipped:', 0
  if ARGV[10] == 'pass' then
    for _, field in ipairs(redis.call('HKEYS', part_key)) do
      if string.sub(field, 1, 6) == 'again:' then
        redis.call('HDEL', part_key, field)
      end
    end
    redis.call('HSET', part_key, 'found', '0')
  end
  for why, n in pairs(skips) do
    redis.call('HINCRBY', part_key, prefix .. why, int(n))
    total = total + n
  end
  if ARGV[11] ~= '' and total > 0 then
    redis.call('EXPIRE', met_key, PART_LIFE)
  end
  if done > 0 then
    redis.call('HINCRBY', part_key, 'done', int(done))
    redis.call('HINCRBY', part_key, 'found', int(done))
  end
  redis.call('HSET', part_key, 'cursor', ARGV[7], 'cut', int(part_cut))
  redis.call('EXPIRE', part_key, PART_LIFE)
  return { 1, redis.call('HGETALL', part_key) }
end

-- The ledger: one hash per UTC day, `workspace \t provider \t model \t figure`, kept 90 days. Once it has this many
-- fields, models that it does not know yet are counted as `other`: who passes model names on does not fill Redis.
local FIELDS, DAYS_KEPT = 20000, 90

local function enter(r, figures)
  local key, model = usage_key(day_of(second)), r.model
  local owner = r.ws .. '\t' .. r.provider .. '\t'
  if redis.call('HLEN', key) >= FIELDS and redis.call('HEXISTS', key, owner .. model .. '\tcalls') == 0 then
    model = 'other'
  end
  for figure, n in pairs(figures) do
    if n > 0 and redis.call('HINCRBY', key, owner .. model .. '\t' .. figure, int(n)) == n then
      redis.call('EXPIRE', key, int(DAYS_KEPT * DAY))
    end
  end
end

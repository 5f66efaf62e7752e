-- What a bulk operation did on this shard, and how far it is there: 31 days, a day longer than its record.
local PART_LIFE = '2678400'
local function part_of(operation)
  return base .. ':operation:' .. operation
end

-- Ends what was done to one queue: jobs into its line, or aside until their time; its depth and its bell.
local function land(lists, later)
  for band, list in pairs(lists) do
    place(band, list)
  end
  local sooner = schedule(later)
  if settle() > 0 or sooner then
    ring()
  end
end

-- Moves jobs of queue `home` that wait; those that find no room in `target` stay. Returns how many went.
local function move(home, target, limit, jobs)
  turn_to(target)
  local room, lists, later, going = room_for(limit), {}, {}, {}
  turn_to(home)
  for _, job in ipairs(jobs) do
    local waits = job.state == 'w' or job.state == 'S'
    if waits and #going >= room then
      skip(job.id, 'queue_full')
    elseif waits and depart(job) then
      going[#going + 1] = job
    else
      skip(job.id, 'wrong_state')
    end
  end
  count('moved_out', #going)
  land({}, {})
  turn_to(target)
  for _, job in ipairs(going) do
    arrive(job, lists, later)
  end
  if #going > 0 then
    redis.call('SADD', base .. ':queues', target)
    count('moved_in', #going)
    land(lists, later)
  end
  return #going
end

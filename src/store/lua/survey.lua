#!lua flags=no-writes
-- Purpose: a page of a bulk operation's walk: jobs of one set that its filter names, as far as a script can tell.
-- Uses: base record times sift walk
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue ('-' any, in a bucket), 2 dead, held, scheduled, running, order:<band>, parked:<band>:<blocker> or
--       done:<hour>, 3 where to go on ('' at first), 4 jobs looked at, 5 jobs found (a bucket may give a few more), 6 before which moment they have to be
--       in their state, 7 one of g (groups), n (ids), m (ids and metadata), then what `sift` reads
-- Returns: where to go on ('' at the end), groups (queue \t type \t letter, count, …), ids found, and with m each id
--          followed by its group, metadata and place
-- Guarantee: at most 500 jobs and, past the first that is larger, 256 KiB of records a call; changes nothing.
local BYTES = 262144
local LETTERS = { dead = 'd', held = 'h', scheduled = 'S', running = 'r', order = 'w', parked = 'w' }
local set, most, want, mode = ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[7]
local f, name = read_filter(8, ARGV[6]), string.match(ARGV[2], '^%a+')
local groups, found, n, bytes = {}, {}, 0, 0

local function take(id, record, h, state, at)
  local group = h.queue .. '\t' .. h.kind .. '\t' .. state
  groups[group] = (groups[group] or 0) + 1
  n = n + 1
  if mode == 'm' then
    local options = string.match(record, '^[^\t]+\t[^\t]+\t[^\t]*(\t[^\n]*)\n')
    found[#found + 1], found[#found + 2], found[#found + 3] = id, group, string.match(options, '\tD([^\t]*)\t') or '{}'
    found[#found + 1] = at
  elseif mode == 'n' or #found < want then
    found[#found + 1] = id
  end
  return mode ~= 'g' and n >= want
end

local function visit(member, score)
  local id, state, since = string.sub(member, 1, 22), LETTERS[name], tonumber(score)
  local timed = state == 'd' or state == 'h'
  if timed and since >= f.before then
    return 'end'
  end
  local record = redis.call('HGET', jobs_key, id)
  local h = header(record or '')
  bytes = bytes + (record and #record or 0)
  local stop = bytes > BYTES
  if h.queue == queue then
    since = timed and since or times_of(id, record)
    local e = asks_entry(f, state) and entry_of(redis.call('HGET', attempts_key, id)) or nil
    if wanted(f, state, since, h, e, e and e.failure) then
      stop = take(id, record, h, state, score .. ':' .. member) or stop
    end
  end
  return stop
end

local function visit_done(id, done)
  local state, at, failure, record = string.match(done, '^(%a)\t(%d+)[^\n]*\n([^\n]*)\n[^\n]*\n[^\n]*\n(.*)$')
  bytes = bytes + #done
  local h = (state == 'c' or state == 'e') and header(record) or {}
  if h.queue and (queue == '-' or queue == h.queue) and wanted(f, state, tonumber(at), h, nil, failure) then
    take(id, record, h, state, '')
  end
  return bytes > BYTES or (mode ~= 'g' and n >= want)
end

local position
if name == 'done' then
  position = walk_hash(base .. ':' .. set, ARGV[3], most, visit_done)
else
  local timed = name == 'dead' or name == 'held'
  position = walk_sorted(qkey(set), ARGV[3], timed and f.after or 0, most, visit)
end
local flat = {}
for group, count_of in pairs(groups) do
  flat[#flat + 1], flat[#flat + 2] = group, count_of
end
return { position, flat, found }

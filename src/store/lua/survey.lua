#!lua flags=no-writes
-- Purpose: a page of a bulk operation's walk: jobs of one set that its filter names, as far as a script can tell.
-- Uses: base record times sift walk
-- KEYS: 1 <base>:jobs
-- ARGV: 1 queue ('-' any, in a bucket), 2 dead, held, scheduled, running, order:<band>, parked:<band>:<blocker> or
--       done:<hour>, 3 where to go on ('' at first), 4 jobs looked at, 5 jobs found (a bucket may give a few more), 6 before which
--       moment they have to be in their state, 7 one of g (groups), n (ids), m (ids and metadata), then what `sift` reads
-- Returns: where to go on ('' at the end), groups (queue \t type \t letter \t workspace, count, …), ids found, and with m each id
--          followed by its group, metadata and place
-- Guarantee: at most 500 jobs and, past the first that is larger, 256 KiB of records a call; changes nothing.
local BYTES = 262144
local LETTERS = { dead = 'd', held = 'h', scheduled = 'S', running = 'r', order = 'w', parked = 'w' }
local set, most, want, mode = ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[7]
local f, name = read_filter(8, ARGV[6]), string.match(ARGV[2], '^%a+')
local groups, found, n, bytes = {}, {}, 0, 0

local function take(id, record, group, at)
  groups[group] = (groups[group] or 0) + 1
  n = n + 1
  if mode == 'm' then
    local options = string.match(record, '^[^\t]+\t[^\t]+\t[^\t]*(\t[^\n]*)\n')
    found[#found + 1], found[#found + 2], found[#found + 3] = id, group, string.match(options, '\tD([^\t]*)\t') or '{}'
    found[#found + 1] = at and redis.call('ZSCORE', qkey(set), at) .. ':' .. at or ''
  elseif mode == 'n' or #found < want then
    found[#found + 1] = id
  end
end

local state = LETTERS[name]
local timed = state == 'd' or state == 'h' -- the score says since when
local function visit(members)
  local ids = {}
  for i, member in ipairs(members) do
    ids[i] = string.sub(member, 1, 22)
  end
  local records = redis.call('HMGET', jobs_key, unpack(ids))
  local entries = asks_entry(f, state) and redis.call('HMGET', attempts_key, unpack(ids)) or {}
  local before = bytes
  for i, id in ipairs(ids) do
    local record, since = records[i] or '', timed and f.after
    local ws, kind = string.match(record, '^([^\t]+)\t([^\t]+)\t')
    bytes = bytes + #record
    if ws and wanted(f, state, since or times_of(id, record), ws, kind, entries[i] or '') then
      take(id, record, queue .. '\t' .. kind .. '\t' .. state .. '\t' .. ws, members[i])
    end
    if bytes > BYTES or (mode ~= 'g' and n >= want) then
      return nil, i
    end
  end
  -- As many as may come without a surprise: the next are as large as these.
  return math.max(math.min(math.floor((BYTES - bytes) * #ids / (bytes - before + 1)), 100), 1)
end

local function visit_done(id, done)
  local letter, at, failure, record = string.match(done, '^(%a)\t(%d+)[^\n]*\n([^\n]*)\n[^\n]*\n[^\n]*\n(.*)$')
  bytes = bytes + #done
  local h = (letter == 'c' or letter == 'e') and header(record) or {}
  if h.queue and (queue == '-' or queue == h.queue) and wanted(f, letter, tonumber(at), h.ws, h.kind, failure) then
    take(id, record, h.queue .. '\t' .. h.kind .. '\t' .. letter .. '\t' .. h.ws)
  end
  return bytes > BYTES or (mode ~= 'g' and n >= want)
end

local position
if name == 'done' then
  position = walk_hash(base .. ':' .. set, ARGV[3], most, visit_done)
else
  local from, to = timed and int(f.after) or '-inf', timed and f.before < math.huge and int(f.before) or '+inf'
  position = walk_sorted(qkey(set), ARGV[3], from, to, most, visit)
end
local flat = {}
for group, count_of in pairs(groups) do
  flat[#flat + 1], flat[#flat + 2] = group, count_of
end
return { position, flat, found }

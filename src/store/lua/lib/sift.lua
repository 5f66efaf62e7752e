-- Which jobs a bulk operation's filter names.
-- Arguments from `first` on, '' for any: states by letter (w in line, S for a time, r, h, d, c, e), type, workspace,
-- fingerprint and reason of the last failure, held reason, before and after (ms), 1 if who came in line since is left.
local FILTER = { 'states', 'kind', 'ws', 'print', 'reason', 'held', 'before', 'after', 'still' }

-- `cut`: who came into its state at this moment or later is left.
local function read_filter(first, cut)
  local f = { cut = tonumber(cut) or math.huge }
  for i, name in ipairs(FILTER) do
    local value = ARGV[first + i - 1]
    f[name] = value ~= '' and value or nil
  end
  f.before, f.after = math.min(tonumber(f.before) or math.huge, f.cut), tonumber(f.after) or 0
  return f
end

-- Whether a job's entry has to be read to know.
local function asks_entry(f, state)
  return f.print or f.reason or f.held or state == 'w'
end

-- Whether the last failure, anywhere in `text`, is that of the filter. One without a fingerprint has its reason for one.
local function failed_so(f, text)
  local function has(name, value)
    return string.find(text, '"' .. name .. '":"' .. value .. '"', 1, true)
  end
  if f.reason and not has('reason', f.reason) then
    return false
  end
  return not f.print or has('fingerprint', f.print)
    or (has('reason', f.print) and not string.find(text, '"fingerprint":"', 1, true))
end

-- Whether its state, since when, and what it is, are named. `text`: its entry or failure; may be nil if `asks_entry` says
-- no. Who is in line since the cut was redriven or released, if no attempt of it ever started.
local function wanted(f, state, since, ws, kind, text)
  if since >= f.before or since < f.after or (f.kind and f.kind ~= kind) or (f.ws and f.ws ~= ws) then
    return false
  elseif not string.find(f.states, state, 1, true) then
    return false
  elseif text and text ~= '' and (state == 'w' or f.held) then
    local e = entry_of(text)
    if state == 'w' and (tonumber(e.extra) or 0) >= f.cut and (f.still or e.started == '') then
      return false
    elseif f.held and (state ~= 'h' or e.extra ~= f.held) then
      return false
    end
  elseif f.held then
    return false
  end
  return not (f.print or f.reason) or failed_so(f, text or '')
end

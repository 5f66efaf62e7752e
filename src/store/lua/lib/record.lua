-- What is stored of a job: its key, its record, its attempts entry (formats: codec.rs, codec/record.rs).
local function idem_key(workspace, request)
  return base .. ':idempotency:' .. workspace .. ':' .. request
end

local function workspace_of(key)
  return string.match(key, '^:idempotency:([^:]+):', #base + 1)
end

-- Record: workspace \t type \t fingerprint \t options (each ends in \t) request_id \n input. Empty for what is no record.
local function header(record)
  local ws, kind, rest = string.match(record, '^([^\t]+)\t([^\t]+)\t[^\t]*(\t[^\n]*)\n')
  if not ws then
    return {}
  end
  local q, band = string.match(rest, '\tQ([^\t]*)\t'), string.match(rest, '\tB([^\t]*)\t')
  return { ws = ws, kind = kind, queue = q or 'default', band = band or 'normal' }
end

local function request_of(record)
  return string.match(record, '^[^\n]*\t([^\t\n]+)\n')
end

-- Attempts entry: state \t attempt \t crashes \t started \t worker \t attempt_id \t extra \n failure
local function entry_of(text)
  if not text then
    return { state = 'w', attempt = 0, crashes = 0, started = '', worker = '', token = '', extra = '', failure = '' }
  end
  local state, attempt, crashes, started, worker, token, extra, failure =
    string.match(text, '^(%a)\t(%d+)\t(%d+)\t(%d*)\t([^\t]*)\t([^\t]*)\t([^\n]*)\n(.*)$')
  return {
    state = state, attempt = tonumber(attempt), crashes = tonumber(crashes), started = started,
    worker = worker, token = token, extra = extra, failure = failure,
  }
end

local function entry_text(e)
  return e.state .. '\t' .. int(e.attempt) .. '\t' .. int(e.crashes) .. '\t' .. e.started .. '\t' .. e.worker
    .. '\t' .. e.token .. '\t' .. e.extra .. '\n' .. e.failure
end

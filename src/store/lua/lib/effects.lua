-- What is on record of a job's effects, a line each: step \t state (i intent, d done) \t class \t attempt \t attempt_id
-- \t first_at \t at \t epoch \t by \t document. A step with a star in front is no effect but a decision, such as *approval.
local effects_key = base .. ':effects'

local function effects_of(id)
  return redis.call('HGET', effects_key, id) or ''
end

local function put_effects(id, text)
  if text == '' then
    redis.call('HDEL', effects_key, id)
  else
    redis.call('HSET', effects_key, id, text)
  end
end

-- What is on record of a step, nil if nothing is.
local function effect_of(text, step)
  for line in string.gmatch(text, '[^\n]+') do
    local name, state, class, attempt, token, first, by, document =
      string.match(line, '^([^\t]*)\t(%a)\t([^\t]*)\t(%d+)\t([^\t]*)\t(%d+)\t%d+\t[^\t]*\t([^\t]*)\t(.*)$')
    if name == step then
      return {
        step = step, state = state, class = class, attempt = attempt, token = token, first = first, by = by,
        document = document, line = line,
      }
    end
  end
end

-- Puts what is known of a step, as of now, in the place of what is on record of it.
local function put_effect(id, text, e)
  local lines, epoch = {}, redis.call('GET', base .. ':epoch') or ''
  for line in string.gmatch(text, '[^\n]+') do
    if string.match(line, '^[^\t]*') ~= e.step then
      lines[#lines + 1] = line
    end
  end
  local facts = { e.step, e.state, e.class, e.attempt, e.token, e.first, now_text, epoch, e.by, e.document }
  lines[#lines + 1] = table.concat(facts, '\t')
  put_effects(id, table.concat(lines, '\n'))
end

-- Drops the intents of one attempt, or of all: what they meant did not happen.
local function drop_intents(id, token)
  local text, lines = effects_of(id), {}
  for line in string.gmatch(text, '[^\n]+') do
    local state, whose = string.match(line, '^[^\t]*\t(%a)\t[^\t]*\t%d+\t([^\t]*)')
    if state ~= 'i' or (token and whose ~= token) then
      lines[#lines + 1] = line
    end
  end
  if text ~= '' then
    put_effects(id, table.concat(lines, '\n'))
  end
end

-- Whether an effect may have happened that must not be done again unasked.
local function in_doubt(id)
  for line in string.gmatch(effects_of(id), '[^\n]+') do
    local state, class = string.match(line, '^[^\t]*\t(%a)\t([^\t]*)')
    if state == 'i' and (class == 'once' or class == 'reconcilable') then
      return true
    end
  end
  return false
end

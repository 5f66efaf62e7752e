-- Begins the first candidate that can, or books the one whose time comes first.

local function grant(job, c, expiry)
  c.state, c.cell = 'g', second
  for _, scope in ipairs(c.scopes) do
    c.cell = math.max(c.cell, rate(scope).head)
  end
  take(c, job, expiry)
  if c.probe then
    begin_probe(c.target, job, expiry)
  end
  hold(job, c, expiry)
  flush_rates()
  return { now_text, 'granted', int(c.index), c.probe and '1' or '0' }
end

local function later(whose, kind, at)
  flush_rates()
  return { now_text, 'later', at, whose, kind }
end

-- A booking is kept until its second has left the window. Nobody books further ahead than an hour: who would, asks
-- again then, spread over ten minutes.
local function wait(job, c, b)
  if b.turn then
    rate(b.scope).turn = b.turn
  end
  if b.book and b.book > second + AHEAD then
    b.at = now + (AHEAD + (string.byte(job, -5) * 64 + string.byte(job, -6)) % 600) * 1000
  elseif b.book then
    c.state, c.cell, c.day, c.probe, c.at = 'b', b.book, day_of(b.book), false, int(b.at)
    c.whose, c.kind = b.whose, b.kind
    book(c)
    hold(job, c, b.at + (WINDOW + 1) * 1000)
  end
  return later(b.whose, b.kind, int(b.at))
end

local function pick(job, candidates, expiry)
  local first, block, impossible
  for _, c in ipairs(candidates) do
    local too_large = never(c)
    local b = not too_large and blocked(c) or nil
    if not too_large and not b then
      return grant(job, c, expiry)
    elseif too_large then
      impossible = impossible or too_large
    elseif not block or b.at < block.at then
      first, block = c, b
    end
  end
  if first then
    return wait(job, first, block)
  end
  flush_rates()
  return { now_text, 'never', impossible.whose, impossible.kind }
end

-- What every script begins with: time, exact numbers, the sliding minute.
--
-- Lua's numbers are doubles: whole up to 2^53. Money comes as two of them, millionths of a dollar and millionths of
-- those, so that sums are exact up to 9 billion dollars.

-- Milliseconds: the server's time, or that of a test.
local function clock(given)
  if given ~= '' then
    return tonumber(given)
  end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function whole(number)
  return string.format('%.0f', number)
end

local UNIT = 1000000

local function normal(high, low)
  local carried = math.floor(low / UNIT)
  return high + carried, low - carried * UNIT
end

local function less(high, low, other_high, other_low)
  return high < other_high or (high == other_high and low < other_low)
end

-- Minute and day, as `actors/src/rate_limiter/window.rs` has them, step by step: a test drives both with the same requests.
-- A ring is fields of one hash: the sum, the oldest slot, the latest time seen, and the slots.
local MINUTE = { window = 60000, slot = 1000, slots = 61 }
local DAY = { window = 86400000, slot = 900000, slots = 97 }
local SIZES = { r = MINUTE, t = MINUTE, d = DAY }

local function open_ring(key, name)
  local head = redis.call('HMGET', key, name .. 'u', name .. 't', name .. 'n')
  return {
    key = key,
    name = name,
    size = SIZES[name],
    used = tonumber(head[1]) or 0,
    tail = tonumber(head[2]) or 0,
    latest = tonumber(head[3]) or 0,
    slots = {},
  }
end

local function slot_of(ring, number)
  local place = number % ring.size.slots
  local slot = ring.slots[place]
  if slot == nil then
    slot = { number = 0, units = 0, last = 0 }
    local kept = redis.call('HGET', ring.key, ring.name .. place)
    if kept then
      local at, units, last = string.match(kept, '^(%d+) (%d+) (%d+)$')
      slot.number, slot.units, slot.last = tonumber(at), tonumber(units), tonumber(last)
    end
    ring.slots[place] = slot
  end
  return slot
end

-- Lets units come back whose time is over; answers the time to go on with.
local function advance(ring, now)
  now = math.max(now, ring.latest)
  ring.latest = now
  local current = math.floor(now / ring.size.slot)
  local oldest = math.max(0, current - (ring.size.slots - 1))
  if ring.tail + ring.size.slots <= oldest then
    ring.used = 0
    ring.tail = oldest
  end
  while ring.tail < current do
    local slot = slot_of(ring, ring.tail)
    if slot.number == ring.tail and slot.units > 0 then
      if now < slot.last + ring.size.window then
        break
      end
      ring.used = math.max(0, ring.used - slot.units)
      slot.units = 0
      slot.changed = true
    elseif ring.tail + ring.size.slots > current then
      break
    end
    ring.tail = ring.tail + 1
  end
  return now
end

local function fits(ring, units, limit)
  if limit == 0 then
    return units == 0
  end
  return ring.used == 0 or ring.used + units <= limit
end

local function take_units(ring, units, now)
  local number = math.floor(now / ring.size.slot)
  local slot = slot_of(ring, number)
  if slot.number ~= number then
    slot.number, slot.units = number, 0
  end
  slot.units = slot.units + units
  slot.last = now
  slot.changed = true
  ring.used = ring.used + units
  return number
end

local function settle_units(ring, number, was, actual)
  local slot = slot_of(ring, number)
  if slot.number ~= number or number < ring.tail then
    return
  end
  local before = slot.units
  slot.units = before - math.min(was, before) + actual
  slot.changed = true
  ring.used = math.max(0, ring.used - before) + slot.units
end

-- Milliseconds until so many more would fit.
local function wait_for(ring, units, limit, now)
  local left = ring.used
  for number = ring.tail, math.floor(now / ring.size.slot) do
    local slot = slot_of(ring, number)
    if slot.number == number and slot.units > 0 then
      left = math.max(0, left - slot.units)
      if left == 0 or left + units <= limit then
        return math.max(0, slot.last + ring.size.window - now)
      end
    end
  end
  return ring.size.window
end

local function keep_ring(ring)
  local fields = {
    ring.name .. 'u', whole(ring.used),
    ring.name .. 't', whole(ring.tail),
    ring.name .. 'n', whole(ring.latest),
  }
  for place, slot in pairs(ring.slots) do
    if slot.changed then
      fields[#fields + 1] = ring.name .. place
      fields[#fields + 1] = whole(slot.number) .. ' ' .. whole(slot.units) .. ' ' .. whole(slot.last)
    end
  end
  redis.call('HSET', ring.key, unpack(fields))
end

-- What lanes hold: a field each, `<until> <count> <high> <low>`, believed until its lease ends. The lease of a lane that is
-- gone is cleared away by whoever sees it, but for the caller's own: a lane that was late renews it.
local function read_lane(kept)
  local ends, count, high, low = string.match(kept, '^(%d+) (%d+) (%d+) (%d+)$')
  return tonumber(ends), tonumber(count), tonumber(high), tonumber(low)
end

local function held_by_all(key, own, now)
  local count, high, low = 0, 0, 0
  local fields = redis.call('HGETALL', key)
  for at = 1, #fields, 2 do
    local ends, lane_count, lane_high, lane_low = read_lane(fields[at + 1])
    if ends > now or fields[at] == own then
      count, high, low = count + lane_count, high + lane_high, low + lane_low
    else
      redis.call('HDEL', key, fields[at])
    end
  end
  high, low = normal(high, low)
  return count, high, low
end

local function keep_lane(key, lane, ends, count, high, low)
  if count == 0 then
    redis.call('HDEL', key, lane)
  else
    redis.call('HSET', key, lane, whole(ends) .. ' ' .. whole(count) .. ' ' .. whole(high) .. ' ' .. whole(low))
  end
end

-- Adds to what one lane holds; what is taken away never leaves less than nothing.
local function add_to_lane(key, lane, ends, count, high, low)
  local kept = redis.call('HGET', key, lane)
  if kept then
    local _, lane_count, lane_high, lane_low = read_lane(kept)
    count = math.max(0, count + lane_count)
    high, low = normal(high + lane_high, low + lane_low)
    if high < 0 then
      high, low = 0, 0
    end
  elseif count < 0 then
    return
  end
  keep_lane(key, lane, ends, count, high, low)
end

-- A subject's rings are forgotten when they are empty, its lanes when no lease is left, a budget's window after an hour
-- without a request: whoever needs it next seeds it from the books.
local MINUTE_LIFE = 62000
local DAY_LIFE = 87360000
local WINDOW_LIFE = 3600000

-- Keeps a subject's rings for as long as any of them may hold something: a request that asks for no limit of the day, because its
-- replica has the terms of before, must not shorten the day of the others.
local function live_on(key)
  local has_day = redis.call('HEXISTS', key, 'du') == 1
  redis.call('PEXPIRE', key, has_day and DAY_LIFE or MINUTE_LIFE)
end

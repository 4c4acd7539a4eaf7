-- What requests of one lane took in the end.
--
-- KEYS: for each entry the two keys of its budget or subject.
-- ARGV: time ('' for the server's), lane, lease in ms; then for each entry eight, of which the first says what it is:
--   w, hold (high, low), cost (high, low), '', '', '': the hold ends, the cost is spent
--   l, time of taking in ms, requests to give back, tokens estimated, tokens used, the same two of the day, slots to give back: '' for what is
--   not limited, and for requests where none is given back
-- Answers how many entries there were.

local given = clock(ARGV[1])
local lane = ARGV[2]
local ends = given + tonumber(ARGV[3])

local function settle_ring(key, name, taken_at, was, actual)
  local ring = open_ring(key, name)
  advance(ring, given)
  settle_units(ring, math.floor(taken_at / ring.size.slot), was, actual)
  keep_ring(ring)
end

for n = 1, #KEYS / 2 do
  local key, lanes = KEYS[2 * n - 1], KEYS[2 * n]
  local at = 8 * n - 4
  local a, b, c, d = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  if ARGV[at] == 'w' then
    add_to_lane(lanes, lane, ends, -1, -a, -b)
    local kept = redis.call('HMGET', key, 'high', 'low')
    -- Of a window that is not there any more, the books know the cost.
    if kept[1] then
      local high, low = normal(tonumber(kept[1]) + c, tonumber(kept[2]) + d)
      redis.call('HSET', key, 'high', whole(high), 'low', whole(low))
    end
  else
    if b then
      settle_ring(key, 'r', a, b, 0)
    end
    if c then
      settle_ring(key, 't', a, c, d)
    end
    local day = tonumber(ARGV[at + 5])
    -- Of a day that is not there any more, the books know the tokens. One that began after the request has nothing of its estimate.
    local kept = day and redis.call('HMGET', key, 'du', 'db')
    if kept and kept[1] then
      settle_ring(key, 'd', a, a < (tonumber(kept[2]) or 0) and 0 or day, tonumber(ARGV[at + 6]))
    end
    if b or c or day then
      live_on(key)
    end
    local slots = tonumber(ARGV[at + 7])
    if slots then
      add_to_lane(lanes, lane, ends, -slots, 0, 0)
    end
  end
end
return #KEYS / 2

-- Has a subject's day begin with what the books have of it; one that is there already is left as it is.
--
-- KEYS: the subject's rings. ARGV: time ('' for the server's), then how long ago in ms and how many tokens, for each quarter of an
-- hour, the oldest first.
--
-- Answers 1 where it began.

if redis.call('HEXISTS', KEYS[1], 'du') == 1 then
  return 0
end
local given = clock(ARGV[1])
local ring = open_ring(KEYS[1], 'd')
for at = 2, #ARGV, 2 do
  take_units(ring, tonumber(ARGV[at + 1]), advance(ring, given - tonumber(ARGV[at])))
end
advance(ring, given)
keep_ring(ring)
-- Requests that were taken before, of which this ring knows nothing, are told apart by it.
redis.call('HSET', KEYS[1], 'db', whole(given))
live_on(KEYS[1])
return 1

-- Renews a lane's lease on what it holds.
--
-- KEYS: the lanes of each budget and subject that it holds something of.
-- ARGV: time ('' for the server's), lane, lease in ms, 1 where the figures below replace what is kept; for each key count, high,
-- low.

local given = clock(ARGV[1])
local lane = ARGV[2]
local lease = tonumber(ARGV[3])
local replace = ARGV[4] == '1'
for n, key in ipairs(KEYS) do
  local count, high, low = tonumber(ARGV[2 + 3 * n]), tonumber(ARGV[3 + 3 * n]), tonumber(ARGV[4 + 3 * n])
  if not replace then
    local kept = redis.call('HGET', key, lane)
    if kept then
      local _
      _, count, high, low = read_lane(kept)
    end
  end
  keep_lane(key, lane, given + lease, count, high, low)
  redis.call('PEXPIRE', key, lease)
end
return #KEYS

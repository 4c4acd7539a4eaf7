-- A replica says that it lives and which of its deployments cool down; it hears who else lives and what else cools down.
--
-- KEYS: replicas by the end of their lease; cooldowns.
-- ARGV: time ('' for the server's), replica, lease in ms; then for each deployment its name and the ms left of its cooldown.
--
-- Answers {{replicas}, {deployment, ms left, …}}, without the replica's own cooldowns.

local given = clock(ARGV[1])
local replica = ARGV[2]
redis.call('ZADD', KEYS[1], given + tonumber(ARGV[3]), replica)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', given)
redis.call('PEXPIRE', KEYS[1], ARGV[3])

for at = 4, #ARGV, 2 do
  local ends = given + tonumber(ARGV[at + 1])
  local kept = redis.call('HGET', KEYS[2], ARGV[at])
  local before = kept and tonumber(string.match(kept, '^(%d+) '))
  if not before or before < ends then
    redis.call('HSET', KEYS[2], ARGV[at], whole(ends) .. ' ' .. replica)
  end
end
local cooling = {}
local longest = 0
local fields = redis.call('HGETALL', KEYS[2])
for at = 1, #fields, 2 do
  local ends, by = string.match(fields[at + 1], '^(%d+) (.+)$')
  local left = tonumber(ends) - given
  if left <= 0 then
    redis.call('HDEL', KEYS[2], fields[at])
  else
    longest = math.max(longest, left)
    if by ~= replica then
      cooling[#cooling + 1] = fields[at]
      cooling[#cooling + 1] = left
    end
  end
end
if longest > 0 then
  redis.call('PEXPIRE', KEYS[2], whole(longest))
end
return { redis.call('ZRANGE', KEYS[1], 0, -1), cooling }

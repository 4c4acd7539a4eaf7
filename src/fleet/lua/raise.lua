-- Seeds windows from the books, or raises them to what the books say; never lowers one.
--
-- KEYS: windows. ARGV: for each what is spent of it (high, low).

for n, key in ipairs(KEYS) do
  local kept = redis.call('HMGET', key, 'high', 'low')
  local high, low = tonumber(ARGV[2 * n - 1]), tonumber(ARGV[2 * n])
  if not kept[1] or less(tonumber(kept[1]), tonumber(kept[2]), high, low) then
    redis.call('HSET', key, 'high', whole(high), 'low', whole(low))
  end
  redis.call('PEXPIRE', key, WINDOW_LIFE)
end
return #KEYS

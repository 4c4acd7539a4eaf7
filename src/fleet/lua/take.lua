-- Takes all that one request needs, or nothing.
--
-- KEYS: for each budget its window and the window's lanes; then for each limited subject its rings and its lanes.
-- ARGV: time ('' for the server's), lane, lease in ms, tokens, hold (high, low), number of budgets; for each budget its limit
-- (high, low); for each subject its rpm, tpm, tpd and parallel requests ('' for no limit).
--
-- Answers {0, time, spent (high, low) of each budget, requests, tokens and tokens of the day taken of each subject}, or what
-- stands against it: {1, budget, spent}, {2, budget} for money that is held, {3, subject, 0 slots | 1 requests | 2 tokens |
-- 3 tokens of the day, taken, ms to wait}, {4, budgets that are not seeded, then subjects whose day is not}. Both are counted from 1;
-- in the last one subjects go on after the last budget.

local given = clock(ARGV[1])
local lane = ARGV[2]
local lease = tonumber(ARGV[3])
local tokens = tonumber(ARGV[4])
local hold_high, hold_low = tonumber(ARGV[5]), tonumber(ARGV[6])
local budgets = tonumber(ARGV[7])
local subjects = #KEYS / 2 - budgets

local unseeded = {4}
local spent = {}
for n = 1, budgets do
  local kept = redis.call('HMGET', KEYS[2 * n - 1], 'high', 'low')
  if kept[1] then
    spent[n] = { tonumber(kept[1]), tonumber(kept[2]) }
  else
    unseeded[#unseeded + 1] = n
  end
end
for n = 1, subjects do
  if ARGV[6 + 2 * budgets + 4 * n] ~= '' and redis.call('HEXISTS', KEYS[2 * (budgets + n) - 1], 'du') == 0 then
    unseeded[#unseeded + 1] = budgets + n
  end
end
if #unseeded > 1 then
  return unseeded
end

for n = 1, budgets do
  local limit_high, limit_low = tonumber(ARGV[6 + 2 * n]), tonumber(ARGV[7 + 2 * n])
  local high, low = spent[n][1], spent[n][2]
  if not less(high, low, limit_high, limit_low) then
    return {1, n, whole(high), whole(low)}
  end
  local count, held_high, held_low = held_by_all(KEYS[2 * n], lane, given)
  if count > 0 then
    local all_high, all_low = normal(high + held_high + hold_high, low + held_low + hold_low)
    if less(limit_high, limit_low, all_high, all_low) then
      return {2, n}
    end
  end
end

local answer = {0, given}
for n = 1, budgets do
  answer[#answer + 1] = whole(spent[n][1])
  answer[#answer + 1] = whole(spent[n][2])
end

local rings = {}
local slots = {}
for n = 1, subjects do
  local key, lanes = KEYS[2 * (budgets + n) - 1], KEYS[2 * (budgets + n)]
  local at = 7 + 2 * budgets + 4 * n
  local rpm, tpm, tpd, most = tonumber(ARGV[at - 3]), tonumber(ARGV[at - 2]), tonumber(ARGV[at - 1]), tonumber(ARGV[at])
  local taken = { 0, 0, 0 }
  if most then
    local count = held_by_all(lanes, lane, given)
    if count >= most then
      return {3, n, 0, count, 0}
    end
    slots[#slots + 1] = lanes
  end
  for which, asked in ipairs({ { 'r', rpm, 1 }, { 't', tpm, tokens }, { 'd', tpd, tokens } }) do
    local name, limit, units = asked[1], asked[2], asked[3]
    if limit then
      local ring = open_ring(key, name)
      local now = advance(ring, given)
      if not fits(ring, units, limit) then
        return {3, n, which, ring.used, wait_for(ring, units, limit, now)}
      end
      ring.units, ring.now = units, now
      rings[#rings + 1] = ring
      taken[which] = ring.used + units
    end
  end
  for which = 1, 3 do
    answer[#answer + 1] = taken[which]
  end
end

for n = 1, budgets do
  add_to_lane(KEYS[2 * n], lane, given + lease, 1, hold_high, hold_low)
  redis.call('PEXPIRE', KEYS[2 * n - 1], WINDOW_LIFE)
  redis.call('PEXPIRE', KEYS[2 * n], lease)
end
for _, lanes in ipairs(slots) do
  add_to_lane(lanes, lane, given + lease, 1, 0, 0)
  redis.call('PEXPIRE', lanes, lease)
end
for _, ring in ipairs(rings) do
  take_units(ring, ring.units, ring.now)
  keep_ring(ring)
  live_on(ring.key)
end
return answer

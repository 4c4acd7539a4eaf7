-- Leases parts of deployments' minutes: what `actors/src/deployment/lease.rs` reports and is answered.
--
-- KEYS: for each deployment its rings and its leases.
-- ARGV: time ('' for the server's), replica, lease in ms, how many replicas there are; then for each deployment the report's number,
-- and for requests and for tokens limit ('' for none), used, used in the last minute, kept, wanted, lacked.
--
-- A lease is a field of its replica: `<until> <report> <used> <leased> <lacks> <used> <leased> <lacks>`, requests before tokens.
--
-- Answers for each deployment {report, more, 1 where others lack some, ms until some come back, the same three of tokens}, or {0}
-- for a report that came after a later one.

local given = clock(ARGV[1])
local replica = ARGV[2]
local lasts = tonumber(ARGV[3])
local replicas = math.max(1, tonumber(ARGV[4]))
-- How long it is known what a replica told after its lease ended: it may come back.
local REMEMBERED = 120000
local NAMES = { 'r', 't' }

local function read_lease(kept)
  local ends, number, ru, rl, rs, tu, tl, ts = string.match(kept, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  return {
    ends = tonumber(ends),
    number = tonumber(number),
    { used = tonumber(ru), leased = tonumber(rl), lacks = tonumber(rs) },
    { used = tonumber(tu), leased = tonumber(tl), lacks = tonumber(ts) },
  }
end

local function write_lease(lease)
  local text = whole(lease.ends) .. ' ' .. whole(lease.number)
  for part = 1, 2 do
    local it = lease[part]
    text = text .. ' ' .. whole(it.used) .. ' ' .. whole(it.leased) .. ' ' .. whole(it.lacks)
  end
  return text
end

local answers = {}
for n = 1, #KEYS / 2 do
  local key, leases = KEYS[2 * n - 1], KEYS[2 * n]
  local at = 5 + 13 * (n - 1)
  local number = tonumber(ARGV[at])
  local rings, others, lack = {}, { 0, 0 }, { 0, 0 }
  for part = 1, 2 do
    rings[part] = open_ring(key, NAMES[part])
  end
  local now = math.max(advance(rings[1], given), advance(rings[2], given))

  local own
  local fields = redis.call('HGETALL', leases)
  for place = 1, #fields, 2 do
    local lease = read_lease(fields[place + 1])
    if lease.ends <= given then
      -- It may have been used to the last, and nobody has said so.
      for part = 1, 2 do
        local it = lease[part]
        if it.leased > 0 then
          take_units(rings[part], it.leased, now)
        end
        it.used, it.leased, it.lacks = it.used + it.leased, 0, 0
      end
      if lease.ends + REMEMBERED <= given then
        redis.call('HDEL', leases, fields[place])
      else
        redis.call('HSET', leases, fields[place], write_lease(lease))
      end
    end
    if fields[place] == replica then
      own = lease
    else
      for part = 1, 2 do
        others[part] = others[part] + lease[part].leased
        lack[part] = math.max(lack[part], lease[part].lacks)
      end
    end
  end

  if own and number <= own.number then
    answers[n] = { 0 }
  else
    local answer = { number }
    local lease = { ends = given + lasts, number = number }
    for part = 1, 2 do
      local from = at + 1 + 6 * (part - 1)
      local limit = tonumber(ARGV[from])
      local used, minute = tonumber(ARGV[from + 1]), tonumber(ARGV[from + 2])
      local kept, wanted, lacked = tonumber(ARGV[from + 3]), tonumber(ARGV[from + 4]), tonumber(ARGV[from + 5])
      local ring = rings[part]
      local more, lacks, wait = 0, 0, 0
      if limit then
        local told = own and math.max(0, used - own[part].used) or minute
        if told > 0 then
          take_units(ring, told, now)
        end
        local gone = ring.used + others[part] + kept
        local free = math.max(0, limit - gone)
        more = math.min(wanted, free, math.max(lacked, math.ceil(free / replicas)))
        if lacked > limit then
          -- More than a whole minute for one request: it runs while nothing else does, or never. A part of it would be of no use, and
          -- two that each have one would wait for each other.
          more = gone == 0 and limit > 0 and lacked or 0
        end
        if more < lacked then
          lacks = 1
          wait = wait_for(ring, others[part] + kept + lacked, limit, now)
        end
      else
        kept = 0
      end
      lease[part] = { used = used, leased = kept + more, lacks = lacks }
      answer[#answer + 1] = more
      answer[#answer + 1] = lack[part]
      answer[#answer + 1] = wait
    end
    redis.call('HSET', leases, replica, write_lease(lease))
    answers[n] = answer
  end
  for part = 1, 2 do
    keep_ring(rings[part])
  end
  redis.call('PEXPIRE', key, MINUTE_LIFE)
  redis.call('PEXPIRE', leases, REMEMBERED)
end
return answers

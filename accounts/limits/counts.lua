-- Limits and budgets of keys: applies a batch of operations of one web process, all or nothing for each.
-- ARGV: the process ("holder"), the id of the batch, and a JSON list of operations. Returns JSON: {"lost": true}, or a reply for each.
-- Amounts are pairs of micro-dollars and pico-dollars below one micro-dollar: a double holds 53 bits, and sums must be exact.
local P = 'pxbin:limits:'
local LEASE_MS, SETTLING_MS, MARK_MS = 5000, 1000, 60000
local holder, batch = ARGV[1], ARGV[2]
local ops = cjson.decode(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local MICRO = 1000000

local epoch = redis.call('GET', P .. 'epoch')
if not epoch then  -- nothing is known: every process has to say what it holds
  redis.call('SET', P .. 'epoch', string.format('%.0f', now))
  epoch = now
  if ops[1][1] ~= 'sync' then return '{"lost":true}' end
end
local is_settling = now - tonumber(epoch) < SETTLING_MS
local previous = redis.call('GET', P .. 'batch:' .. holder) or ''
redis.call('SET', P .. 'batch:' .. holder, batch, 'PX', MARK_MS)

local function plus(h1, l1, h2, l2)
  local low = l1 + l2
  local carry = math.floor(low / MICRO)
  return h1 + h2 + carry, low - carry * MICRO
end

local function below(h1, l1, h2, l2) return h1 < h2 or (h1 == h2 and l1 < l2) end
local function text(number) return string.format('%.0f', number) end

local alive = {}
local function is_alive(name)
  if alive[name] == nil then
    local seen = redis.call('ZSCORE', P .. 'holders', name)
    alive[name] = name == holder or (seen and now - tonumber(seen) < LEASE_MS) or false
  end
  return alive[name]
end

local function level(key, field, size)  -- of a bucket that refills in a minute
  local values = redis.call('HMGET', key, field, field .. ':at', field .. ':size')
  if not values[1] or tonumber(values[3]) ~= size then return size end
  return math.min(size, tonumber(values[1]) + (now - tonumber(values[2])) * size / 60000)
end

local function set_level(key, field, size, value)
  redis.call('HSET', key, field, tostring(value), field .. ':at', text(now), field .. ':size', size)
  redis.call('PEXPIRE', key, 180000)
end

local function running(key_id)
  local key, total = P .. 'running:' .. key_id, 0
  local fields = redis.call('HGETALL', key)
  for index = 1, #fields, 2 do
    if is_alive(fields[index]) then total = total + tonumber(fields[index + 1]) else redis.call('HDEL', key, fields[index]) end
  end
  return total
end

local function used(key)  -- spent and reserved; nil if what was spent is not known
  local high, low, known = 0, 0, false
  local fields = redis.call('HGETALL', key)
  local values = {}
  for index = 1, #fields, 2 do values[fields[index]] = tonumber(fields[index + 1]) end
  for name, value in pairs(values) do
    if name == 'h' then
      known = true
      high, low = plus(high, low, value, values['l'])
    elseif string.sub(name, 1, 2) == 'h:' then
      local owner = string.sub(name, 3)
      if is_alive(owner) then high, low = plus(high, low, value, values['l:' .. owner])
      else redis.call('HDEL', key, name, 'l:' .. owner) end
    end
  end
  if known then return high, low end
  return nil
end

local function add(key, suffix, high, low, until_ms)
  local values = redis.call('HMGET', key, 'h' .. suffix, 'l' .. suffix)
  local h, l = plus(tonumber(values[1] or 0), tonumber(values[2] or 0), high, low)
  redis.call('HSET', key, 'h' .. suffix, text(h), 'l' .. suffix, text(l))
  if until_ms > 0 then redis.call('PEXPIREAT', key, text(until_ms)) end
end

local run = {}

function run.reserve(op)  -- key, requests, tokens, concurrency (0: no limit), needed tokens, windows
  local _, key_id, rpm, tpm, most, needed, windows = unpack(op)
  local rate = P .. 'rate:' .. key_id
  local requests, tokens = -1, -1
  if rpm > 0 then requests = level(rate, 'requests', rpm) end
  if tpm > 0 then tokens = level(rate, 'tokens', tpm) end
  if is_settling and (most > 0 or #windows > 0) then return {'settling'} end
  if most > 0 and running(key_id) >= most then return {'over', 'concurrency', 1, requests, tokens} end
  if rpm > 0 and requests < 1 then return {'over', 'requests', (1 - requests) * 60 / rpm, requests, tokens} end
  if tpm > 0 and tokens < needed then return {'over', 'tokens', (needed - tokens) * 60 / tpm, requests, tokens} end
  local unknown, is_unknown_hard, full, is_over = {}, false, nil, false
  for index, window in ipairs(windows) do
    local state, limit_high, limit_low, is_hard, is_priced, high, low = unpack(window)
    local h, l = used(P .. 'budget:' .. state)
    if h == nil then
      unknown[#unknown + 1] = index - 1
      is_unknown_hard = is_unknown_hard or is_hard == 1
    else
      local sum_high, sum_low = plus(h, l, high, low)
      local has_room = is_priced == 1 and below(h, l, limit_high, limit_low) and not below(limit_high, limit_low, sum_high, sum_low)
      if not has_room and is_hard == 1 then full = full or index - 1 elseif not has_room then is_over = true end
    end
  end
  if is_unknown_hard then return {'unknown', unknown} end
  if full then return {'budget', full} end
  if rpm > 0 then requests = requests - 1 set_level(rate, 'requests', rpm, requests) end
  if tpm > 0 then tokens = tokens - needed set_level(rate, 'tokens', tpm, tokens) end
  redis.call('HINCRBY', P .. 'running:' .. key_id, holder, 1)
  redis.call('PEXPIRE', P .. 'running:' .. key_id, 86400000)
  for _, window in ipairs(windows) do add(P .. 'budget:' .. window[1], ':' .. holder, window[6], window[7], window[8]) end
  return {'ok', requests, tokens, unknown, is_over}
end

function run.settle(op)  -- key, tokens per minute, tokens to charge, whether the lease is still held here, id, log line, windows
  local _, key_id, tpm, tokens, is_held, id, line, windows = unpack(op)
  if tpm > 0 and tokens ~= 0 then
    local rate = P .. 'rate:' .. key_id
    set_level(rate, 'tokens', tpm, math.min(tpm, level(rate, 'tokens', tpm) - tokens))
  end
  if is_held == 1 and redis.call('HINCRBY', P .. 'running:' .. key_id, holder, -1) <= 0 then
    redis.call('HDEL', P .. 'running:' .. key_id, holder)
  end
  for _, window in ipairs(windows) do
    local state, high, low, cost_high, cost_low, until_ms = unpack(window)
    local key = P .. 'budget:' .. state
    if is_held == 1 then add(key, ':' .. holder, -high, -low, until_ms) end
    if redis.call('HEXISTS', key, 'h') == 1 then add(key, '', cost_high, cost_low, until_ms) end
    if redis.call('EXISTS', P .. 'capture:' .. state) == 1 then
      redis.call('HSET', P .. 'settled:' .. state, id, line)
      redis.call('PEXPIRE', P .. 'settled:' .. state, MARK_MS)
    end
  end
  return {'ok'}
end

function run.sync(op)  -- what this process holds: {key, number}, {state, high, low, until}
  for _, entry in ipairs(op[2]) do redis.call('HSET', P .. 'running:' .. entry[1], holder, entry[2]) end
  for _, entry in ipairs(op[3]) do
    redis.call('HSET', P .. 'budget:' .. entry[1], 'h:' .. holder, text(entry[2]), 'l:' .. holder, text(entry[3]))
    if entry[4] > 0 then redis.call('PEXPIREAT', P .. 'budget:' .. entry[1], text(entry[4])) end
  end
  redis.call('ZADD', P .. 'holders', text(now), holder)
  return {'ok', previous}
end

function run.beat()
  local seen = redis.call('ZSCORE', P .. 'holders', holder)
  redis.call('ZADD', P .. 'holders', text(now), holder)
  redis.call('ZREMRANGEBYSCORE', P .. 'holders', '-inf', text(now - 10 * LEASE_MS))
  local was_dead = not seen or now - tonumber(seen) >= LEASE_MS
  local others = redis.call('ZCOUNT', P .. 'holders', text(now - LEASE_MS), '+inf')
  return {'ok', was_dead, redis.call('GET', P .. 'round') or '', others}
end

function run.begin(op)  -- a rebuild: state, round
  local _, state, round = unpack(op)
  if not redis.call('SET', P .. 'rebuilding:' .. state, round, 'NX', 'PX', 6000) then return {'busy'} end
  redis.call('SET', P .. 'capture:' .. state, round, 'PX', 10000)
  redis.call('DEL', P .. 'settled:' .. state)
  redis.call('SET', P .. 'round', round, 'PX', 10000)
  return {'ok'}
end

function run.reported(op)  -- whether every living process has reported what is not in the database yet: round
  if is_settling then return {'waiting'} end
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'holders', text(now - LEASE_MS), '+inf')) do
    if redis.call('HEXISTS', P .. 'reported:' .. op[2], name) == 0 then return {'waiting'} end
  end
  return {'ok', redis.call('HGETALL', P .. 'unwritten:' .. op[2])}
end

function run.report(op)  -- round, {id, line, ...}
  local _, round, lines = unpack(op)
  for index = 1, #lines, 2 do redis.call('HSET', P .. 'unwritten:' .. round, lines[index], lines[index + 1]) end
  redis.call('HSET', P .. 'reported:' .. round, holder, 1)
  redis.call('PEXPIRE', P .. 'unwritten:' .. round, MARK_MS)
  redis.call('PEXPIRE', P .. 'reported:' .. round, MARK_MS)
  return {'ok'}
end

function run.captured(op) return {'ok', redis.call('HGETALL', P .. 'settled:' .. op[2])} end

function run.install(op)  -- state, round, high, low, ids that were counted, until; later ones are in {id, high, low}
  local _, state, round, high, low, until_ms, late = unpack(op)
  if redis.call('GET', P .. 'rebuilding:' .. state) ~= round then return {'lost'} end
  local key = P .. 'budget:' .. state
  local counted = {}
  for _, id in ipairs(late) do counted[id] = true end
  local fields = redis.call('HGETALL', P .. 'settled:' .. state)
  for index = 1, #fields, 2 do
    if not counted[fields[index]] then
      local cost = cjson.decode(fields[index + 1])[4]
      local micro = math.floor(cost / MICRO)
      high, low = plus(high, low, micro, cost - micro * MICRO)
    end
  end
  redis.call('HSET', key, 'h', text(high), 'l', text(low))
  if until_ms > 0 then redis.call('PEXPIREAT', key, text(until_ms)) end
  redis.call('DEL', P .. 'capture:' .. state, P .. 'settled:' .. state, P .. 'rebuilding:' .. state)
  return {'ok'}
end

local replies = {}
for index, op in ipairs(ops) do replies[index] = run[op[1]](op) end
return cjson.encode(replies)

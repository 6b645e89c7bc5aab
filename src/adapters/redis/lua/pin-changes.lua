-- Compare-and-sets of pins (S4): one, or those of one moment together. Each is judged by itself.
--
-- KEYS[1]  owner of the slot (see quarantine)
-- KEYS     then of each change: its pin, its handle; then, where it enters an id, the index of its class; then, where the new state is
--          `closed`, its durable state, values and keys, which end with it
--          pin: `generation epoch state opId\n` and a body that this script never looks into
--          handle: `generation issuedAtMs`
-- ARGV[1]  met (see quarantine); `-`: the asker knows by his connection that there is no quarantine
-- ARGV[2]  length of a quarantine
-- ARGV     then of each change, eleven:
--   1  expected `generation epoch state`; empty: expects no record
--   2  generation that it keeps; empty: the id is made or remade, its epoch is its generation
--   3  epoch that it keeps; empty: the next one
--   4  the epoch that the next one is to exceed
--   5  opId
--   6  new state
--   7  new body
--   8  life of the record in ms; `0`: for ever
--   9  when the handle was issued, ms
--   10 what to enter in the index, with 9 as its score; empty: nothing, and KEYS has no index
--   11 `owner`: the worker that has it lets go of it, also in quarantine; else empty
--
-- Returns { run of this server, or nil where it had not to be asked for; answers }, for each change its generation and epoch,
-- { 'before', record } when this opId made the record that stands, { 'refused', record or nil },
-- { 'quarantined', what is left of it, ms }, or an error.
--
-- Numbers of 16 digits stay strings: tostring and cjson round them (S2).

local clock
local left, run

-- Asked once for all changes, and only where one is to be made.
local function quarantine()
  if ARGV[1] == '-' then
    return 0
  end
  if not left then
    left, run = quarantineLeft(KEYS[1], ARGV[1], ARGV[2])
  end
  return left
end

-- At least one more than the last, or the clock of this server in microseconds.
local function epochAfter(last)
  if not clock then
    local time = redis.call('TIME')
    clock = tonumber(time[1]) * 1000000 + tonumber(time[2])
  end
  return string.format('%.0f', math.max(tonumber(last) + 1, clock))
end

-- What an error of one change must not do is end the script: the others would be made or not, and nobody told.
local function set(key, value, life)
  local result
  if life == '0' then
    result = redis.pcall('SET', key, value)
  else
    result = redis.pcall('SET', key, value, 'PX', life)
  end
  return result.err and result
end

local function change(pin, handle, index, state, keys, at)
  local record = redis.pcall('GET', pin)
  if type(record) == 'table' then
    return record
  end
  if record then
    local header, opId = string.match(record, '^(%d+ %d+ %l+) (%S+)\n')
    if not header then
      return { err = 'ERR ' .. pin .. ' is not a pin record' }
    end
    if opId == ARGV[at + 5] then
      return { 'before', record }
    end
    if header ~= ARGV[at + 1] then
      return { 'refused', record }
    end
  elseif ARGV[at + 1] ~= '' then
    return { 'refused', false }
  end
  if ARGV[at + 11] == '' and quarantine() > 0 then
    return { 'quarantined', left }
  end

  local epoch = ARGV[at + 3]
  if epoch == '' then
    epoch = epochAfter(ARGV[at + 4])
  end
  local isMade = ARGV[at + 2] == ''
  local generation = isMade and epoch or ARGV[at + 2]
  local life = ARGV[at + 8]
  local header = generation .. ' ' .. epoch .. ' ' .. ARGV[at + 6] .. ' ' .. ARGV[at + 5]
  local failure = set(pin, header .. '\n' .. ARGV[at + 7], life)
  if not failure and (isMade or life ~= '0') then
    failure = set(handle, generation .. ' ' .. ARGV[at + 9], life)
  end
  if not failure and index then
    local added = redis.pcall('ZADD', index, ARGV[at + 9], ARGV[at + 10])
    failure = type(added) == 'table' and added
  end
  if not failure and state then
    local deleted = redis.pcall('UNLINK', state, keys)
    failure = type(deleted) == 'table' and deleted
  end
  return failure or generation .. ' ' .. epoch
end

local results = {}
local key = 2
for at = 2, #ARGV - 11, 11 do
  local index, state, keys
  local next = key + 2
  if ARGV[at + 10] ~= '' then
    index = KEYS[next]
    next = next + 1
  end
  if ARGV[at + 6] == 'closed' then
    state, keys = KEYS[next], KEYS[next + 1]
    next = next + 2
  end
  results[#results + 1] = change(KEYS[key], KEYS[key + 1], index, state, keys, at)
  key = next
end
return { run or false, results }

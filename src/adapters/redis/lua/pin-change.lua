-- One compare-and-set of a pin (S4).
--
-- KEYS[1]  pin, `generation epoch state opId\n` and a body that this script never looks into
-- KEYS[2]  handle, `generation issuedAtMs`
-- ARGV[1]  expected generation; empty: expects no record
-- ARGV[2]  expected epoch
-- ARGV[3]  expected state
-- ARGV[4]  opId
-- ARGV[5]  epoch: `keep` or `next`
-- ARGV[6]  generation: `keep` or `epoch`
-- ARGV[7]  new state
-- ARGV[8]  new body
-- ARGV[9]  life of the record in ms; `0`: for ever
-- ARGV[10] when the handle was issued, ms
--
-- Returns { 'applied', generation, epoch }, { 'before', record } when this opId made the record that stands,
-- or { 'refused', record or nil }.
--
-- Numbers of 16 digits stay strings: tostring and cjson round them (S2).

local record = redis.call('GET', KEYS[1])
local generation, epoch, state, opId
if record then
  generation, epoch, state, opId = string.match(record, '^(%d+) (%d+) (%l+) (%S+)\n')
  if not generation then
    return redis.error_reply('ERR ' .. KEYS[1] .. ' is not a pin record')
  end
  if opId == ARGV[4] then
    return { 'before', record }
  end
  if generation ~= ARGV[1] or epoch ~= ARGV[2] or state ~= ARGV[3] then
    return { 'refused', record }
  end
elseif ARGV[1] ~= '' then
  return { 'refused', false }
end

if ARGV[5] == 'next' then
  local time = redis.call('TIME')
  local clock = tonumber(time[1]) * 1000000 + tonumber(time[2])
  epoch = string.format('%.0f', math.max(tonumber(epoch or '0') + 1, clock))
end
if ARGV[6] == 'epoch' then
  generation = epoch
end

local changed = generation .. ' ' .. epoch .. ' ' .. ARGV[7] .. ' ' .. ARGV[4] .. '\n' .. ARGV[8]
local handle = generation .. ' ' .. ARGV[10]
if ARGV[9] ~= '0' then
  redis.call('SET', KEYS[1], changed, 'PX', ARGV[9])
  redis.call('SET', KEYS[2], handle, 'PX', ARGV[9])
else
  redis.call('SET', KEYS[1], changed)
  if ARGV[6] == 'epoch' then
    redis.call('SET', KEYS[2], handle)
  end
end
return { 'applied', generation, epoch }

-- Changes of an instance's durable state, in one step with the look whether its activation is still the one (D1).
--
-- KEYS[1]  pin: `generation epoch state …`
-- KEYS[2]  hash of values by key; the empty key: `epoch sequence` of the last commit, then ` id at due failures` of an alarm
-- KEYS[3]  sorted set of the keys, all with the score 0: in the order of their bytes
-- ARGV[1]  epoch
-- ARGV[2]  sequence; one that is not newer than the last of this epoch was made before (D4)
-- ARGV[3]  alarm: ms since 1970; `-`: none; empty: as it is
-- ARGV[4…] of each change: `+`, key, value; or `-`, key, empty
--
-- Returns `committed`, or `stale`.

local epoch, state = string.match(redis.call('GETRANGE', KEYS[1], 0, 63), '^%d+ (%d+) (%l+) ')
if epoch ~= ARGV[1] or not (state == 'active' or state == 'draining' or state == 'closing') then
  return 'stale'
end
local lastEpoch, lastSequence, alarm = string.match(redis.call('HGET', KEYS[2], '') or '', '^(%d+) (%d+)(.*)$')
if lastEpoch == ARGV[1] and tonumber(lastSequence) >= tonumber(ARGV[2]) then
  return 'committed'
end
if ARGV[3] == '-' then
  alarm = ''
elseif ARGV[3] ~= '' then
  alarm = ' ' .. ARGV[1] .. '.' .. ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[3] .. ' 0'
end
-- Many together: calling out of Lua costs more than what is done there. Some thousand arguments are the most that it takes.
local most = 2000
local puts, places = {}, {}
local function store()
  if #puts > 0 then
    redis.call('HSET', KEYS[2], unpack(puts))
    redis.call('ZADD', KEYS[3], unpack(places))
    puts, places = {}, {}
  end
end
for at = 4, #ARGV, 3 do
  if ARGV[at] == '+' then
    puts[#puts + 1] = ARGV[at + 1]
    puts[#puts + 1] = ARGV[at + 2]
    places[#places + 1] = 0
    places[#places + 1] = ARGV[at + 1]
    if #puts >= most then
      store()
    end
  else
    redis.call('HDEL', KEYS[2], ARGV[at + 1])
    redis.call('ZREM', KEYS[3], ARGV[at + 1])
  end
end
store()
redis.call('HSET', KEYS[2], '', ARGV[1] .. ' ' .. ARGV[2] .. (alarm or ''))
return 'committed'

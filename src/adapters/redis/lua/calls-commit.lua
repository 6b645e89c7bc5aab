-- Changes of an instance's spawned calls, in one step with the look whether its activation is still the one (R2).
--
-- KEYS[1]  pin: `generation epoch state …`
-- KEYS[2]  hash of open calls, their places by id; the empty id: `epoch sequence` of the last commit, and whose calls they are
-- KEYS[3]  sorted set of the ids that have ended, by when
-- KEYS[4…] of each change: its call, a hash: h: what it is, p: `state …`, x: arguments, or result or error once it has ended
-- ARGV[1]  epoch
-- ARGV[2]  sequence; one that is not newer than the last of this epoch was made before
-- ARGV[3]  for how long ended calls are kept, ms
-- ARGV[4]  whose calls they are; empty: that is known
-- ARGV[5…] of each change, six: `+`, id, place, p, arguments, h; `~`, id, empty, p, empty, empty; or `.`, id, when it ended (ms),
--          p, result or error, empty
--
-- Returns `committed`, or `stale`.

local epoch, state = string.match(redis.call('GETRANGE', KEYS[1], 0, 63), '^%d+ (%d+) (%l+) ')
if epoch ~= ARGV[1] or not (state == 'active' or state == 'draining' or state == 'closing') then
  return 'stale'
end
local lastEpoch, lastSequence, whose = string.match(redis.call('HGET', KEYS[2], '') or '', '^(%d+) (%d+) ?(.*)$')
if lastEpoch == ARGV[1] and tonumber(lastSequence) >= tonumber(ARGV[2]) then
  return 'committed'
end
if ARGV[4] ~= '' then
  whose = ARGV[4]
end
-- One command for what all changes have in common: calling out of Lua costs more than what is done there.
local ids = {}
for at = 6, #ARGV, 6 do
  ids[#ids + 1] = ARGV[at]
end
local known = redis.call('HMGET', KEYS[2], unpack(ids))
local open, opened, closed, ended = {}, { '', ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. (whose or '') }, {}, {}
for at, id in ipairs(ids) do
  open[id] = known[at]
end
local last
for at = 5, #ARGV, 6 do
  local call, kind, id = KEYS[3 + (at + 1) / 6], ARGV[at], ARGV[at + 1]
  if kind == '+' then
    if redis.call('EXISTS', call) == 0 then
      redis.call('HSET', call, 'h', ARGV[at + 5], 'p', ARGV[at + 3], 'x', ARGV[at + 4])
      opened[#opened + 1] = id
      opened[#opened + 1] = ARGV[at + 2]
      open[id] = true
    end
  elseif open[id] and kind == '.' then
    redis.call('HSET', call, 'p', ARGV[at + 3], 'x', ARGV[at + 4])
    redis.call('PEXPIRE', call, ARGV[3])
    last = ARGV[at + 2]
    closed[#closed + 1] = id
    ended[#ended + 1] = last
    ended[#ended + 1] = id
    open[id] = false
  elseif open[id] then
    redis.call('HSET', call, 'p', ARGV[at + 3])
  end
end
redis.call('HSET', KEYS[2], unpack(opened))
if last then
  redis.call('HDEL', KEYS[2], unpack(closed))
  redis.call('ZADD', KEYS[3], unpack(ended))
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', tonumber(last) - tonumber(ARGV[3])))
  redis.call('PEXPIRE', KEYS[3], ARGV[3])
end
-- Where nothing is open it needs to be kept no longer than what has ended.
if redis.call('HLEN', KEYS[2]) == 1 then
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
else
  redis.call('PERSIST', KEYS[2])
end
return 'committed'

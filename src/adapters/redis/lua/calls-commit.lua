-- Changes of an instance's spawned calls, in one step with the look whether its activation is still the one (R2).
--
-- KEYS[1]  pin: `generation epoch state …`
-- KEYS[2]  hash of open calls, their places by id; the empty id: `epoch sequence` of the last commit
-- KEYS[3]  sorted set of the ids that have ended, by when
-- KEYS[4…] of each change: its call, a hash: h: what it is, p: `state …`, a: arguments, r: result or error
-- ARGV[1]  epoch
-- ARGV[2]  sequence; one that is not newer than the last of this epoch was made before
-- ARGV[3]  for how long ended calls are kept, ms
-- ARGV[4…] of each change, six: `+`, id, place, p, arguments, h; `~`, id, empty, p, empty, empty; or `.`, id, when it ended (ms),
--          p, result or error, empty
--
-- Returns `committed`, or `stale`.

local epoch, state = string.match(redis.call('GETRANGE', KEYS[1], 0, 63), '^%d+ (%d+) (%l+) ')
if epoch ~= ARGV[1] or not (state == 'active' or state == 'draining' or state == 'closing') then
  return 'stale'
end
local lastEpoch, lastSequence = string.match(redis.call('HGET', KEYS[2], '') or '', '^(%d+) (%d+)$')
if lastEpoch == ARGV[1] and tonumber(lastSequence) >= tonumber(ARGV[2]) then
  return 'committed'
end
local last
for at = 4, #ARGV, 6 do
  local call, kind, id = KEYS[3 + (at + 2) / 6], ARGV[at], ARGV[at + 1]
  if kind == '+' then
    if redis.call('EXISTS', call) == 0 then
      redis.call('HSET', call, 'h', ARGV[at + 5], 'p', ARGV[at + 3], 'a', ARGV[at + 4])
      redis.call('HSET', KEYS[2], id, ARGV[at + 2])
    end
  elseif redis.call('HEXISTS', KEYS[2], id) == 1 then
    redis.call('HSET', call, 'p', ARGV[at + 3])
    if kind == '.' then
      redis.call('HSET', call, 'r', ARGV[at + 4])
      redis.call('HDEL', call, 'a')
      redis.call('PEXPIRE', call, ARGV[3])
      redis.call('HDEL', KEYS[2], id)
      redis.call('ZADD', KEYS[3], ARGV[at + 2], id)
      last = ARGV[at + 2]
    end
  end
end
redis.call('HSET', KEYS[2], '', ARGV[1] .. ' ' .. ARGV[2])
if last then
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

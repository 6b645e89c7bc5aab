-- Ends spawned calls of an instance that nobody will start again: its pin is closed, lost or gone (R4).
--
-- KEYS[1], KEYS[2], KEYS[3] as in calls-commit; KEYS[4…] calls
-- ARGV[1]  for how long ended calls are kept, ms
-- ARGV[2]  when they ended, ms since 1970
-- ARGV[3], ARGV[4] progress and error of those that had not begun
-- ARGV[5], ARGV[6] of those that had
-- ARGV[7…] the calls' ids
--
-- Returns how many.

local state = string.match(redis.call('GETRANGE', KEYS[1], 0, 63), '^%d+ %d+ (%l+) ')
if state and state ~= 'closed' and state ~= 'lost' then
  return 0
end
local ended = 0
for at = 4, #KEYS do
  local call, id = KEYS[at], ARGV[at + 3]
  if redis.call('HDEL', KEYS[2], id) == 1 then
    local had = string.match(redis.call('HGET', call, 'p') or '', '^%l+') == 'running' and 5 or 3
    redis.call('HSET', call, 'p', ARGV[had], 'x', ARGV[had + 1])
    redis.call('PEXPIRE', call, ARGV[1])
    redis.call('ZADD', KEYS[3], ARGV[2], id)
    redis.call('PEXPIRE', KEYS[3], ARGV[1])
    ended = ended + 1
  end
end
if redis.call('HLEN', KEYS[2]) <= 1 then
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
end
return ended

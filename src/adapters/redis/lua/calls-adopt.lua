-- An activation takes over what is open of its instance's spawned calls (R4).
--
-- KEYS[1] pin: `generation epoch state …`
-- KEYS[2] hash of open calls, their places by id; the empty id: `epoch sequence` of the last commit, and whose calls they are
-- ARGV[1] epoch
--
-- Returns id, place, … of those that are open, or `stale`.

local epoch, state = string.match(redis.call('GETRANGE', KEYS[1], 0, 63), '^%d+ (%d+) (%l+) ')
if epoch ~= ARGV[1] or not (state == 'active' or state == 'draining' or state == 'closing') then
  return 'stale'
end
local last, whose = string.match(redis.call('HGET', KEYS[2], '') or '', '^(%d+) %d+ ?(.*)$')
if last ~= ARGV[1] then
  redis.call('HSET', KEYS[2], '', ARGV[1] .. ' 0 ' .. (whose or ''))
end
return redis.call('HGETALL', KEYS[2])

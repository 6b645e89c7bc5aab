-- Changes of a network file system, in one step with the look whether what was seen of it still is so.
--
-- KEYS[1]  hash of values by key
-- KEYS[2]  sorted set of the keys, all with the score 0
-- ARGV[1]  how many were seen
-- ARGV[2…] of each that was seen, then of each change: key, `+` or `-`, value; `-`: there is none
--
-- Returns 1, or 0 where one is another now.

local at = 2
for _ = 1, tonumber(ARGV[1]) do
  local value = redis.call('HGET', KEYS[1], ARGV[at])
  if ARGV[at + 1] == '-' then
    if value then return 0 end
  elseif value ~= ARGV[at + 2] then
    return 0
  end
  at = at + 3
end
while at <= #ARGV do
  if ARGV[at + 1] == '-' then
    redis.call('HDEL', KEYS[1], ARGV[at])
    redis.call('ZREM', KEYS[2], ARGV[at])
  else
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 2])
    redis.call('ZADD', KEYS[2], 0, ARGV[at])
  end
  at = at + 3
end
return 1

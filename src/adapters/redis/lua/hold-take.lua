-- Takes a hold.
--
-- KEYS[1] holds, a sorted set by their end, ms
-- KEYS[2] roots by hold, a hash: hashes with a space between them
-- KEYS[3] commits of a volume (see volume-publish)
-- ARGV[1] hold
-- ARGV[2] life in ms
-- ARGV[3] id of the commit to keep; empty: none
--
-- Returns 1, or 0 where the commit is not there.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local root = ''
if ARGV[3] ~= '' then
  local commit = redis.call('HGET', KEYS[3], ARGV[3])
  if not commit then
    return 0
  end
  root = cjson.decode(commit).root.hash
end
redis.call('HSET', KEYS[2], ARGV[1], root)
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
return 1

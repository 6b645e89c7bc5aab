-- Keeps another commit under a hold that stands.
--
-- KEYS[1] holds, KEYS[2] roots by hold, KEYS[3] commits of a volume (see hold-take)
-- ARGV[1] hold
-- ARGV[2] id of the commit
--
-- Returns 1, or 0 where the hold has lapsed or the commit is not there.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
local commit = redis.call('HGET', KEYS[3], ARGV[2])
if not commit or not ends or tonumber(ends) <= now then
  return 0
end
local roots = redis.call('HGET', KEYS[2], ARGV[1]) or ''
redis.call('HSET', KEYS[2], ARGV[1], roots .. ' ' .. cjson.decode(commit).root.hash)
return 1

-- Drops the oldest commits of a volume.
--
-- KEYS[1] commits of the volume, KEYS[2] its history (see volume-publish)
-- ARGV[1] how many of the newest stay, 1 or more
-- ARGV[2] how many go at most
--
-- Returns how many went.

local extra = redis.call('LLEN', KEYS[2]) - tonumber(ARGV[1])
local count = math.min(extra, tonumber(ARGV[2]))
for _ = 1, count do
  redis.call('HDEL', KEYS[1], redis.call('RPOP', KEYS[2]))
end
return math.max(count, 0)

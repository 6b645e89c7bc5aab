-- Somebody looks at an instance at a time, or before (A1).
--
-- KEYS[1] sorted set of instances by when to look at them, ms since 1970
-- ARGV[1] instance
-- ARGV[2] when

local now = redis.call('ZSCORE', KEYS[1], ARGV[1])
local at = tonumber(ARGV[2])
-- Earlier in any case: who has claimed it, and found nothing before this, must see that it is expected again.
if now and tonumber(now) <= at then
  at = tonumber(now) - 1
end
return redis.call('ZADD', KEYS[1], string.format('%.0f', at), ARGV[1])

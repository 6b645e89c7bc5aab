-- What has become of a claim, unless somebody expects the instance again meanwhile.
--
-- KEYS[1] sorted set of instances by when to look at them, ms since 1970
-- ARGV[1] instance
-- ARGV[2] until when it was claimed
-- ARGV[3] when to look again; empty: no more

local now = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not now or tonumber(now) ~= tonumber(ARGV[2]) then
  return 0
end
if ARGV[3] == '' then
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
return redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])

-- KEYS[1] volumes, KEYS[2] leases (see volume-create), KEYS[3] heads, KEYS[4] its commits, KEYS[5] its history,
-- KEYS[6] hosts
-- ARGV[1] name
-- ARGV[2] id
-- ARGV[3] `lapsed`: only where its lease is over
--
-- Returns 1, or 0 where another volume or none has the name.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local record = redis.call('HGET', KEYS[1], ARGV[1])
if not record or string.match(record, '^(%S+)\n') ~= ARGV[2] then
  return 0
end
if ARGV[3] == 'lapsed' then
  local ends = redis.call('ZSCORE', KEYS[2], ARGV[1])
  if not ends or tonumber(ends) > now then
    return 0
  end
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[2])
redis.call('HDEL', KEYS[6], ARGV[2])
redis.call('UNLINK', KEYS[4], KEYS[5])
return 1

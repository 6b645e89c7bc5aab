-- Renews the lease of an ephemeral volume that still stands.
--
-- KEYS[1] volumes, KEYS[2] leases (see volume-create)
-- ARGV[1] name
-- ARGV[2] id
-- ARGV[3] life in ms
--
-- Returns 1, or 0 where it is gone or has lapsed.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local record = redis.call('HGET', KEYS[1], ARGV[1])
local ends = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not record or string.match(record, '^(%S+)\n') ~= ARGV[2] or not ends or tonumber(ends) <= now then
  return 0
end
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), ARGV[1])
return 1

-- KEYS[1] volumes, KEYS[2] leases (see volume-create), KEYS[3] heads, a hash of commits by volume id
-- ARGV[1] name
--
-- Returns { record, head or nil }; nil where there is none, or its lease has lapsed.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local record = redis.call('HGET', KEYS[1], ARGV[1])
local ends = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not record or (ends and tonumber(ends) <= now) then
  return false
end
return { record, redis.call('HGET', KEYS[3], string.match(record, '^(%S+)\n')) }

-- KEYS[1] volumes, KEYS[2] leases (see volume-create)
-- ARGV[1] how many
--
-- Returns the records of volumes whose lease is over.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local records = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local record = redis.call('HGET', KEYS[1], name)
  if record then
    table.insert(records, record)
  end
end
return records

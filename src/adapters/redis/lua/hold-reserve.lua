-- Reserves objects for a hold that stands.
--
-- KEYS[1] holds, KEYS[2] condemned, a set, KEYS[3] reserved by this hold, a set
-- ARGV[1] hold
-- ARGV[2...] objects
--
-- Returns those that are condemned and were not reserved; nil where the hold has lapsed.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not ends or tonumber(ends) <= now then
  return false
end
local condemned = {}
for i = 2, #ARGV do
  if redis.call('SISMEMBER', KEYS[2], ARGV[i]) == 1 then
    table.insert(condemned, ARGV[i])
  else
    redis.call('SADD', KEYS[3], ARGV[i])
  end
end
-- A holder that dies leaves nothing behind for long; one that lives renews it with its hold.
redis.call('PEXPIRE', KEYS[3], 2 * (tonumber(ends) - now) + 60000)
return condemned

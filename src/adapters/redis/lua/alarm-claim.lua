-- Gives the instances that are due to one router, until its time is over.
--
-- KEYS[1] sorted set of instances by when to look at them, ms since 1970
-- ARGV[1] how many at most
-- ARGV[2] for how long, ms
-- ARGV[3] those too that are due in that many ms
--
-- Returns now, until when, both in ms since 1970, and the instances.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local untilMs = string.format('%.0f', now + tonumber(ARGV[2]))
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now + tonumber(ARGV[3]), 'LIMIT', 0, ARGV[1])
for _, instance in ipairs(due) do
  redis.call('ZADD', KEYS[1], untilMs, instance)
end
return { string.format('%.0f', now), untilMs, unpack(due) }

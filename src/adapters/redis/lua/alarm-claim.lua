-- Gives the instances that are due to one router, until its time is over.
--
-- KEYS[1] sorted set of instances by when to look at them, ms since 1970
-- ARGV[1] how many at most
-- ARGV[2] for how long, ms
-- ARGV[3] then those too that are due in that many ms
-- ARGV[4] and later than then, ms since 1970
--
-- Returns now, until when, until when all of those ahead are given, all in ms since 1970; how many are due, and the instances:
-- those that are due, and those ahead.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local untilMs = string.format('%.0f', now + tonumber(ARGV[2]))
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
local due = #found
local room = tonumber(ARGV[1]) - due
local from = math.max(now, tonumber(ARGV[4]))
local last = now + tonumber(ARGV[3])
local seen = tonumber(ARGV[4])
if room > 0 and from < last then
  local after = '(' .. string.format('%.0f', from)
  local ahead = redis.call('ZRANGEBYSCORE', KEYS[1], after, last, 'WITHSCORES', 'LIMIT', 0, room)
  for i = 1, #ahead, 2 do
    found[#found + 1] = ahead[i]
    seen = tonumber(ahead[i + 1])
  end
  if #ahead < 2 * room then
    seen = last
  end
end
for _, instance in ipairs(found) do
  redis.call('ZADD', KEYS[1], untilMs, instance)
end
return { string.format('%.0f', now), untilMs, string.format('%.0f', seen), string.format('%.0f', due), unpack(found) }

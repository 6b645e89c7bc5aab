-- Condemns objects that nobody has reserved and that no commit since the beginning of the sweep has brought.
--
-- KEYS[1] sweep, KEYS[2] condemned, KEYS[3] what was published since it began, KEYS[4] roots by hold, KEYS[5] holds,
-- KEYS[6...] reserved, by each hold that the caller has seen
-- ARGV[1] id of the sweep
-- ARGV[2] life of what is condemned, ms
-- ARGV[3] how many holds the caller has seen
-- ARGV[4...] these holds, then the objects
--
-- Returns { 'condemned', objects }, { 'lapsed' }, or { 'holds', holds } where there are others than the caller has seen.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return { 'lapsed' }
end
for _, hold in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now)) do
  redis.call('ZREM', KEYS[5], hold)
  redis.call('HDEL', KEYS[4], hold)
end
local seen = tonumber(ARGV[3])
local known = {}
for i = 1, seen do
  known[ARGV[3 + i]] = true
end
local holds = redis.call('ZRANGE', KEYS[5], 0, -1)
for _, hold in ipairs(holds) do
  if not known[hold] then
    return { 'holds', holds }
  end
end
-- Most holds are those of readers, who reserve nothing.
local keeping = { KEYS[3] }
for key = 6, #KEYS do
  if redis.call('EXISTS', KEYS[key]) == 1 then
    table.insert(keeping, KEYS[key])
  end
end
local condemned = {}
for i = 4 + seen, #ARGV do
  local isWanted = false
  for _, key in ipairs(keeping) do
    isWanted = isWanted or redis.call('SISMEMBER', key, ARGV[i]) == 1
  end
  if not isWanted then
    redis.call('SADD', KEYS[2], ARGV[i])
    table.insert(condemned, ARGV[i])
  end
end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return { 'condemned', condemned }

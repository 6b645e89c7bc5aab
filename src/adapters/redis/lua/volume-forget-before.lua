-- Drops the oldest commits of a volume.
--
-- KEYS[1] commits of the volume, KEYS[2] its history (see volume-publish)
-- ARGV[1] id of the oldest commit that stays
-- ARGV[2] how many go at most
--
-- Returns how many went.

if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return 0
end
for count = 0, tonumber(ARGV[2]) - 1 do
  if redis.call('LINDEX', KEYS[2], -1) == ARGV[1] then
    return count
  end
  redis.call('HDEL', KEYS[1], redis.call('RPOP', KEYS[2]))
end
return tonumber(ARGV[2])

-- Removes an entry from an index, unless it was entered again meanwhile: another slot than the pin, so this may be late.
--
-- KEYS[1] index
-- ARGV[1] instance key
-- ARGV[2] score that the entry had when it was found wrong
--
-- Returns how many were removed.

local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if score and tonumber(score) == tonumber(ARGV[2]) then
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
return 0

-- Records of a network file system whose keys begin alike.
--
-- KEYS[1]  hash of values by key
-- KEYS[2]  sorted set of the keys, all with the score 0
-- ARGV[1]  least key, as ZRANGEBYLEX has it
-- ARGV[2]  greatest key
-- ARGV[3]  at most so many
--
-- Returns key, value, key, value, …

local found = {}
for _, key in ipairs(redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])) do
  table.insert(found, key)
  table.insert(found, redis.call('HGET', KEYS[1], key))
end
return found

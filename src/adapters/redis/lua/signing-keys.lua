-- Makes a key where the account has none, in one step: two that start at once agree on one.
--
-- KEYS[1] signing keys, a hash by id
-- ARGV[1] id of the first key
-- ARGV[2] the first key, JSON
--
-- Returns all keys.

local keys = redis.call('HVALS', KEYS[1])
if #keys > 0 then
  return keys
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return { ARGV[2] }

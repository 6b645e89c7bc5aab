-- Stores a deployment under the next version of its app and makes it the current one.
--
-- KEYS[1] app, a hash: `current`, and the deployments by version
-- ARGV[1] deployment without its version, JSON
--
-- Returns the version.

local version = redis.call('HINCRBY', KEYS[1], 'current', 1)
redis.call('HSET', KEYS[1], string.format('%.0f', version), ARGV[1])
return version

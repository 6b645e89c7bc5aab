-- KEYS[1] app, a hash: `current`, and the deployments by version
-- ARGV[1] version; empty: the current one
--
-- Returns { version, deployment }; nil when there is none.

local version = ARGV[1]
if version == '' then
  version = redis.call('HGET', KEYS[1], 'current')
end
local deployment = version and redis.call('HGET', KEYS[1], version)
if not deployment then
  return false
end
return { version, deployment }

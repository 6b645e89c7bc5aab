-- Binds a volume to a host, unless it is bound.
--
-- KEYS[1] volumes (see volume-create), KEYS[2] hosts by volume id
-- ARGV[1] name
-- ARGV[2] id
-- ARGV[3] host; empty: only asks
--
-- Returns the host that has it, an empty string where none has, or nil where there is no such volume.

local record = redis.call('HGET', KEYS[1], ARGV[1])
if not record or string.match(record, '^(%S+)\n') ~= ARGV[2] then
  return false
end
if ARGV[3] ~= '' then
  redis.call('HSETNX', KEYS[2], ARGV[2], ARGV[3])
end
return redis.call('HGET', KEYS[2], ARGV[2]) or ''

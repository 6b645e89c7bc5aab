-- One value of an instance's durable state, for the activation that has the pin (D1).
--
-- KEYS[1] pin, KEYS[2] hash of values by key: see state-commit
-- ARGV[1] epoch
-- ARGV[2] key
--
-- Returns { value or nil }, or `stale`.

local epoch, state = string.match(redis.call('GETRANGE', KEYS[1], 0, 63), '^%d+ (%d+) (%l+) ')
if epoch ~= ARGV[1] or not (state == 'active' or state == 'draining' or state == 'closing') then
  return 'stale'
end
return { redis.call('HGET', KEYS[2], ARGV[2]) }

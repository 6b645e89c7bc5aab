-- Gives a boot its lease, unless it was released: a boot that is over never comes back (S6).
--
-- KEYS[1] lease
-- ARGV[1] lease record, JSON
-- ARGV[2] ttl in ms
--
-- Returns the run of this server, or nil for a released one.

if redis.call('GET', KEYS[1]) == 'released' then
  return false
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')

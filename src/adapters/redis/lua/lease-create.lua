-- Gives a boot its lease, unless it was released: a boot that is over never comes back (S6). The quarantine of a server that took
-- over begins here and at renewals, so that it is over in time where nothing is placed meanwhile (S10).
--
-- KEYS[1] lease, KEYS[2] owner of the slot (see quarantine)
-- ARGV[1] lease record, JSON
-- ARGV[2] ttl in ms
-- ARGV[3] met, ARGV[4] length of a quarantine (see quarantine)
--
-- Returns { run of this server, what is left of its quarantine }, or nil for a released one.

if redis.call('GET', KEYS[1]) == 'released' then
  return false
end
local left, run = quarantineLeft(KEYS[2], ARGV[3], ARGV[4])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return { run, left }

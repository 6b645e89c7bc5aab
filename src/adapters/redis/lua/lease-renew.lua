-- Renews a lease that still stands (S6).
--
-- KEYS[1] lease
-- ARGV[1] ttl in ms
--
-- Returns 1, or 0 when it lapsed or was released.

local lease = redis.call('GET', KEYS[1])
if not lease or lease == 'released' then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[1])

-- KEYS[1] lease, KEYS[2] owner of the slot (see quarantine)
-- ARGV[1] met, ARGV[2] length of a quarantine (see quarantine)
--
-- Returns { record, remaining ms }, both of one moment; where there is none { false, what is left of the quarantine, run }.

local lease = redis.call('GET', KEYS[1])
if not lease then
  local left, run = quarantineLeft(KEYS[2], ARGV[1], ARGV[2])
  return { false, left, run }
end
return { lease, redis.call('PTTL', KEYS[1]) }

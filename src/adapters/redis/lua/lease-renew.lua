-- Renews a lease that still stands (S6).
--
-- KEYS[1] lease, KEYS[2] owner of the slot (see quarantine)
-- ARGV[1] ttl in ms
-- ARGV[2] run of the server that had it when the asker made or renewed it last; empty: he never did
-- ARGV[3] met, ARGV[4] length of a quarantine (see quarantine)
--
-- Returns { answer, run of this server, what is left of its quarantine }: `renewed`; `refused` when it lapsed or was released;
-- `forgotten` when this server took over since and does not know it (S10).

local left, run = quarantineLeft(KEYS[2], ARGV[3], ARGV[4])
local lease = redis.call('GET', KEYS[1])
if not lease and ARGV[2] ~= '' and ARGV[2] ~= run then
  return { 'forgotten', run, left }
end
if not lease or lease == 'released' then
  return { 'refused', run, left }
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return { 'renewed', run, left }

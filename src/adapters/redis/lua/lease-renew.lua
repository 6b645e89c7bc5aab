-- Renews a lease that still stands (S6).
--
-- KEYS[1] lease
-- ARGV[1] ttl in ms
-- ARGV[2] run of the server that had it when the asker made or renewed it last; empty: he never did
--
-- Returns { `renewed`, run of this server }; { `refused` } when it lapsed or was released; { `forgotten` } when this server took
-- over since and does not know it (S10).

local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local lease = redis.call('GET', KEYS[1])
if not lease and ARGV[2] ~= '' and ARGV[2] ~= run then
  return { 'forgotten' }
end
if not lease or lease == 'released' then
  return { 'refused' }
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return { 'renewed', run }

-- KEYS[1] sweep
-- ARGV[1] id
-- ARGV[2] life in ms
--
-- Returns 1, or 0 where it has lapsed.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])

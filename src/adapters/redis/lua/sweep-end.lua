-- KEYS[1] sweep, KEYS[2] condemned, KEYS[3] what was published since it began, KEYS[4] roots by hold (see volume-publish)
-- ARGV[1] id
-- ARGV[2] `batch`: only what was condemned is over

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('UNLINK', KEYS[2])
if ARGV[2] ~= 'batch' then
  redis.call('UNLINK', KEYS[1], KEYS[3])
  redis.call('HDEL', KEYS[4], 'since')
end
return 1

-- Begins a sweep, unless one is under way or one that died may still be removing what it condemned.
--
-- KEYS[1] sweep, KEYS[2] condemned, KEYS[3] what was published since it began, KEYS[4] roots by hold (see volume-publish)
-- ARGV[1] id
-- ARGV[2] life in ms
--
-- Returns 1 or 0.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  return 1
end
if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('UNLINK', KEYS[3])
redis.call('HDEL', KEYS[4], 'since')
return 1

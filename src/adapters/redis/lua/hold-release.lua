-- KEYS[1] holds, KEYS[2] roots by hold, KEYS[3] reserved by this hold
-- ARGV[1] hold

redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('UNLINK', KEYS[3])
return 1

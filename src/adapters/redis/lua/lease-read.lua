-- KEYS[1] lease
--
-- Returns { record, remaining ms }, both of one moment; nil when there is none.

local lease = redis.call('GET', KEYS[1])
if not lease then
  return false
end
return { lease, redis.call('PTTL', KEYS[1]) }

-- Makes a commit the head of its volume, in one compare-and-set, and ends the hold under which it was made.
--
-- KEYS[1] volumes, KEYS[2] leases (see volume-create), KEYS[3] heads, KEYS[4] commits of the volume, a hash by id,
-- KEYS[5] its history, a list of ids, newest first, KEYS[6] holds, KEYS[7] roots by hold (`since`: of those that
-- ended so since the sweep began), KEYS[8] reserved by this hold,
-- KEYS[9] sweep, KEYS[10] what was published since the sweep began
-- ARGV[1] name of the volume
-- ARGV[2] its id
-- ARGV[3] expected head, a commit's id; empty: none
-- ARGV[4] id of the commit
-- ARGV[5] commit, JSON
-- ARGV[6] hold
--
-- Returns { 'published' } (also where it was before), { 'gone' }, { 'lapsed' } or { 'moved', head or nil }.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local record = redis.call('HGET', KEYS[1], ARGV[1])
local ends = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not record or string.match(record, '^(%S+)\n') ~= ARGV[2] or (ends and tonumber(ends) <= now) then
  return { 'gone' }
end
if redis.call('HEXISTS', KEYS[4], ARGV[4]) == 1 then
  return { 'published' }
end
local held = redis.call('ZSCORE', KEYS[6], ARGV[6])
if not held or tonumber(held) <= now then
  return { 'lapsed' }
end
if (redis.call('LINDEX', KEYS[5], 0) or '') ~= ARGV[3] then
  return { 'moved', redis.call('HGET', KEYS[3], ARGV[2]) }
end
redis.call('HSET', KEYS[4], ARGV[4], ARGV[5])
redis.call('LPUSH', KEYS[5], ARGV[4])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[5])
if redis.call('EXISTS', KEYS[9]) == 1 then
  redis.call('SUNIONSTORE', KEYS[10], KEYS[10], KEYS[8])
  -- The commit may refer to all that its hold kept, and the sweep may have read this volume's history before.
  local roots = redis.call('HGET', KEYS[7], ARGV[6]) or ''
  redis.call('HSET', KEYS[7], 'since', (redis.call('HGET', KEYS[7], 'since') or '') .. ' ' .. roots)
end
redis.call('ZREM', KEYS[6], ARGV[6])
redis.call('HDEL', KEYS[7], ARGV[6])
redis.call('UNLINK', KEYS[8])
return { 'published' }

-- Spawned calls of one instance.
--
-- KEYS[1]  hash of open calls; the empty id: `epoch sequence` of the last commit, and whose calls they are
-- KEYS[2…] calls, as in calls-commit
-- ARGV[1]  `answers`: with those of the calls that have ended
--
-- Returns the value of the empty id, or an empty string, and of each call a list: h and p, nil where there is none, and its answer.

local found = { redis.call('HGET', KEYS[1], '') or '' }
for at = 2, #KEYS do
  local call = redis.call('HMGET', KEYS[at], 'h', 'p')
  local state = string.match(call[2] or '', '^%l+')
  if ARGV[1] == 'answers' and state and state ~= 'queued' and state ~= 'running' then
    call[3] = redis.call('HGET', KEYS[at], 'x')
  end
  found[at] = call
end
return found

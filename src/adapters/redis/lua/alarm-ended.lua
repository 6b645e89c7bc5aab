-- The method of an alarm has returned, or is called again later (A2).
--
-- KEYS[1] pin, KEYS[2] hash of values by key: see state-commit
-- ARGV[1] epoch
-- ARGV[2] id of the alarm; where another one stands, or none, nothing happens
-- ARGV[3] after how many ms it is due again; empty: it is done
--
-- Returns when it is due again, ms since 1970; `ended`, or `stale`.

local epoch, state = string.match(redis.call('GETRANGE', KEYS[1], 0, 63), '^%d+ (%d+) (%l+) ')
if epoch ~= ARGV[1] or not (state == 'active' or state == 'draining' or state == 'closing') then
  return 'stale'
end
local record = redis.call('HGET', KEYS[2], '') or ''
local commit, id, at, failures = string.match(record, '^(%d+ %d+) (%S+) (%d+) %d+ (%d+)$')
if id ~= ARGV[2] then
  return 'ended'
end
local due = 'ended'
if ARGV[3] ~= '' then
  local time = redis.call('TIME')
  due = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[3]))
  commit = commit .. ' ' .. id .. ' ' .. at .. ' ' .. due .. ' ' .. tonumber(failures) + 1
end
redis.call('HSET', KEYS[2], '', commit)
return due

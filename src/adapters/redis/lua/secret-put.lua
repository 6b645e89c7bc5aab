-- One compare-and-set of a secret.
--
-- KEYS[1] secrets of the account, a hash by name: `revision\n` and a body that this script never looks into
-- ARGV[1] name
-- ARGV[2] expected revision; empty: expects none
-- ARGV[3] new revision
-- ARGV[4] new body
--
-- Returns { 'applied' }, also when this revision stands already, or { 'refused', record or nil }.

local record = redis.call('HGET', KEYS[1], ARGV[1])
local revision = ''
if record then
  revision = string.match(record, '^(%S+)\n')
  if not revision then
    return redis.error_reply('ERR ' .. KEYS[1] .. ' holds what is not a secret')
  end
end
if revision == ARGV[3] then
  return { 'applied' }
end
if revision ~= ARGV[2] then
  return { 'refused', record }
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. '\n' .. ARGV[4])
return { 'applied' }

-- A page of an instance's durable state, for the activation that has the pin (D1).
--
-- KEYS[1] pin, KEYS[2] hash of values by key, KEYS[3] sorted set of the keys: see state-commit
-- ARGV[1] epoch
-- ARGV[2] first and
-- ARGV[3] last, as ZRANGE BYLEX takes them
-- ARGV[4] how many at most
-- ARGV[5] `REV`: from the last to the first; empty: not
-- ARGV[6] bytes of keys and values after which the page ends
--
-- Returns `end` or `more`, then keys and values in turn; or `stale`.

local epoch, state = string.match(redis.call('GETRANGE', KEYS[1], 0, 63), '^%d+ (%d+) (%l+) ')
if epoch ~= ARGV[1] or not (state == 'active' or state == 'draining' or state == 'closing') then
  return 'stale'
end
local limit = tonumber(ARGV[4])
local keys
if ARGV[5] == 'REV' then
  keys = redis.call('ZREVRANGEBYLEX', KEYS[3], ARGV[3], ARGV[2], 'LIMIT', 0, limit + 1)
else
  keys = redis.call('ZRANGEBYLEX', KEYS[3], ARGV[2], ARGV[3], 'LIMIT', 0, limit + 1)
end
local page = { #keys > limit and 'more' or 'end' }
local bytes = 0
for i = 1, math.min(#keys, limit) do
  local value = redis.call('HGET', KEYS[2], keys[i])
  page[#page + 1] = keys[i]
  page[#page + 1] = value
  bytes = bytes + #keys[i] + #value
  if bytes >= tonumber(ARGV[6]) and i < #keys then
    page[1] = 'more'
    break
  end
end
return page

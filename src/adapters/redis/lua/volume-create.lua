-- Makes a volume where its name is free.
--
-- KEYS[1] volumes, a hash by name: `id\n` and a record that this script never looks into
-- KEYS[2] leases of ephemeral ones, a sorted set of names by their end, ms
-- ARGV[1] name
-- ARGV[2] `id\nrecord`
-- ARGV[3] life in ms; empty: for ever
--
-- Returns { 'made', record } (also where this very volume stands), { 'taken', record }, or { 'lapsed' } where the one that has
-- the name is over and must be removed first.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local stands = redis.call('HGET', KEYS[1], ARGV[1])
if stands then
  local ends = redis.call('ZSCORE', KEYS[2], ARGV[1])
  if ends and tonumber(ends) <= now then
    return { 'lapsed' }
  end
  local isSame = string.match(stands, '^(%S+)\n') == string.match(ARGV[2], '^(%S+)\n')
  return { isSame and 'made' or 'taken', stands }
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if ARGV[3] ~= '' then
  redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), ARGV[1])
end
return { 'made', ARGV[2] }

-- Writes a pin as the boot knows it that has it, where this server knows less (S10).
--
-- KEYS[1] pin, KEYS[2] handle, KEYS[3] index of its class, where that is in this slot: see pin-changes
-- ARGV[1] generation
-- ARGV[2] epoch
-- ARGV[3] state: `active`, `draining` or `closing`
-- ARGV[4] opId
-- ARGV[5] body
-- ARGV[6] when the handle was issued, ms
-- ARGV[7] instance key
--
-- Returns `written`, `stands`, `ended` or `superseded`.

local ranks = { placing = 1, active = 2, draining = 3, closing = 3 }

local record = redis.call('GET', KEYS[1])
if record then
  local epoch, state = string.match(record, '^%d+ (%d+) (%l+) ')
  if not epoch then
    return redis.error_reply('ERR ' .. KEYS[1] .. ' is not a pin record')
  end
  if tonumber(epoch) > tonumber(ARGV[2]) then
    return 'superseded'
  end
  if epoch == ARGV[2] then
    if not ranks[state] then
      return 'ended'
    end
    if ranks[state] >= ranks[ARGV[3]] then
      return 'stands'
    end
  end
end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4] .. '\n' .. ARGV[5])
redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. ARGV[6])
if KEYS[3] then
  redis.call('ZADD', KEYS[3], ARGV[6], ARGV[7])
end
return 'written'

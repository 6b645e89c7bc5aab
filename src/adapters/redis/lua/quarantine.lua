-- Before the scripts that ask for it. How long the server that runs this is in quarantine (S10), in ms; at most zero: it is not.
--
-- owner  names the run of a server that had this slot last: `run since`, ms since 1970, and ` first` where nobody knew of any
--        before. It travels with the data: to a replica, and back with an old file.
-- met    the run that the asker met here last; empty: he has met none
-- length in ms
--
-- Returns what is left, and the run of this server.

local function quarantineLeft(owner, met, length)
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  local known, since, mark = string.match(redis.call('GET', owner) or '', '^(%x+) (%d+)(.*)$')
  if not known and met == '' then
    redis.call('SET', owner, run .. ' ' .. now .. ' first')
    return 0, run
  end
  -- All that it had is gone, and who came first did not know that there had been anything.
  local isMistaken = mark == ' first' and met ~= '' and met ~= run
  if known ~= run or tonumber(since) > now then
    since = now
  elseif mark == ' first' and not isMistaken then
    return 0, run
  end
  if known ~= run or isMistaken then
    redis.call('SET', owner, run .. ' ' .. since)
  end
  return tonumber(since) + tonumber(length) - now, run
end


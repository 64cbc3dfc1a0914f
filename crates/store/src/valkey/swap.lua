#!lua
-- Writes slots whose rows have the versions that the callers know. All keys of a store have one hash tag.
-- KEYS: the kill switch, the counter, the due times, all slots, the names of the states, the channel on which it is told that a
-- slot waits, then a mark that this was done before (or the counter again, for none), then a row for each slot.
-- ARGV: 1 to refuse while the switch is on, the seconds for which the mark is kept, then for each slot: its name, the version that
-- is expected, its state, the time at which it wakes (or nothing), its body (or nothing: it is deleted).
-- Gives: 'switched', 'done', or for each slot the new version, 'moved', or 'unreadable'.
local switch = redis.call('GET', KEYS[1])
if ARGV[1] == '1' and switch and switch ~= 'false' then return 'switched' end
local marked = KEYS[7] ~= KEYS[2]
if marked and redis.call('EXISTS', KEYS[7]) == 1 then return 'done' end
local answers, is_whole, waits = {}, true, false
for at = 1, #KEYS - 7 do
  local row, first = KEYS[7 + at], 2 + (at - 1) * 5
  local name, expected, state = ARGV[first + 1], ARGV[first + 2], ARGV[first + 3]
  local wakes, body = ARGV[first + 4], ARGV[first + 5]
  local known = redis.pcall('HMGET', row, 'version', 'state')
  if known.err then
    answers[at], is_whole = 'unreadable', false
  elseif (known[1] or '0') ~= expected then
    answers[at], is_whole = 'moved', false
  else
    if known[2] then redis.call('SREM', KEYS[5] .. ':' .. known[2], name) end
    if body == '' then
      redis.call('DEL', row)
      redis.call('ZREM', KEYS[3], name)
      redis.call('ZREM', KEYS[4], name)
      answers[at] = '0'
    else
      local version = redis.call('INCR', KEYS[2])
      redis.call('HSET', row, 'version', version, 'state', state, 'body', body)
      redis.call('ZADD', KEYS[4], 0, name)
      redis.call('SADD', KEYS[5], state)
      redis.call('SADD', KEYS[5] .. ':' .. state, name)
      if wakes == '' then redis.call('ZREM', KEYS[3], name) else redis.call('ZADD', KEYS[3], wakes, name) end
      if string.sub(state, 1, 8) == 'waiting/' then waits = true end
      answers[at] = tostring(version)
    end
  end
end
if marked and is_whole then redis.call('SET', KEYS[7], '1', 'EX', ARGV[2]) end
-- A user who may not publish has written the slots all the same: the next look finds them.
if waits then redis.pcall('PUBLISH', KEYS[6], '1') end
return answers

#!lua
-- Writes slots with the versions that they have in another store, whatever is there. The counter is not below any of them after.
-- KEYS: the counter, the due times, all slots, the names of the states, then a row for each slot.
-- ARGV: for each slot: its name, its version, its state, the time at which it wakes (or nothing), its body.
local greatest = tonumber(redis.call('GET', KEYS[1]) or '0')
for at = 1, #KEYS - 4 do
  local row, first = KEYS[4 + at], (at - 1) * 5
  local name, version, state = ARGV[first + 1], ARGV[first + 2], ARGV[first + 3]
  local wakes, body = ARGV[first + 4], ARGV[first + 5]
  local former = redis.call('HGET', row, 'state')
  if former then redis.call('SREM', KEYS[4] .. ':' .. former, name) end
  redis.call('HSET', row, 'version', version, 'state', state, 'body', body)
  redis.call('ZADD', KEYS[3], 0, name)
  redis.call('SADD', KEYS[4], state)
  redis.call('SADD', KEYS[4] .. ':' .. state, name)
  if wakes == '' then redis.call('ZREM', KEYS[2], name) else redis.call('ZADD', KEYS[2], wakes, name) end
  if tonumber(version) > greatest then
    greatest = tonumber(version)
    redis.call('SET', KEYS[1], version)
  end
end
return 1

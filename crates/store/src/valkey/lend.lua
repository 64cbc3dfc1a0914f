#!lua
-- Lends the right to do what one process does at a time.
-- KEYS: its holder. ARGV: who asks, and the milliseconds for which it is lent (0: it is given back). Gives 1 if who asks has it.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1

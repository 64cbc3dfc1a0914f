#!lua
-- Changes a text that all processes keep, if it is still the expected one.
-- KEYS: its name. ARGV: the expected text and the next one (nothing: there is none), the milliseconds for which it is kept. Gives
-- 1 if it is changed.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1

#!lua
-- KEYS: the counter. ARGV: a number that it is not to be below.
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return 1

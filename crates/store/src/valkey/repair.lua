#!lua
-- Sets the kill switch and our copy of it, unless somebody has changed either since they were read.
-- KEYS: the kill switch, our copy. ARGV: both as they were read (empty: not there), and the value for both.
local function is(key, read) return (redis.call('GET', key) or '') == read end
if is(KEYS[1], ARGV[1]) and is(KEYS[2], ARGV[2]) then redis.call('MSET', KEYS[1], ARGV[3], KEYS[2], ARGV[3]) end
return 1

#!lua
-- Remembers who leases slots, and forgets who has not been heard of for a while.
-- KEYS: the processes by the time at which they were heard of last. ARGV: who asks, 1 if it leases, the milliseconds after which
-- a process is forgotten. Gives the names.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3])
if ARGV[2] == '1' then redis.call('ZADD', KEYS[1], now, ARGV[1]) else redis.call('ZREM', KEYS[1], ARGV[1]) end
return redis.call('ZRANGE', KEYS[1], 0, -1)

"""The two changes that must happen at once or not at all, as Lua scripts for the server."""

PUSH = """
-- Stores a job and puts it on its queue, unless its ID is taken.
-- KEYS: job, queue, set of queues, results.
-- ARGV: ID, queue key, created_at, then field, value, ...
-- Returns 1 if the job is stored, 0 if the ID belongs to another job.
if redis.call('EXISTS', KEYS[1]) == 1 then
    -- The same creation time to the microsecond is this very push, sent again after a lost reply.
    return redis.call('HGET', KEYS[1], 'created_at') == ARGV[3] and 1 or 0
end
redis.call('SADD', KEYS[3], ARGV[2])
redis.call('DEL', KEYS[4])  -- results may outlive the job that had this ID before
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
redis.call('RPUSH', KEYS[2], ARGV[1])
return 1
"""

CANCEL = """
-- Cancels a job that is not done, and wakes who waits for its result.
-- KEYS: job, queue, results, canceled, started, executions, then other registries.
-- ARGV: ID, now, TTL in seconds, status, result type, statuses that are done, ...
-- Returns 1 if this cancelled the job, 0 if it was done, -1 if there is none.
local status = redis.call('HGET', KEYS[1], 'status')
if not status then
    return -1
end
for i = 6, #ARGV do
    if status == ARGV[i] then
        return 0
    end
end
redis.call('HSET', KEYS[1], 'status', ARGV[4])
redis.call('LREM', KEYS[2], 0, ARGV[1])
for _, execution in ipairs(redis.call('ZRANGE', KEYS[6], 0, -1)) do
    redis.call('ZREM', KEYS[5], ARGV[1] .. ':' .. execution)
end
for i = 7, #KEYS do
    redis.call('ZREM', KEYS[i], ARGV[1])
end
-- RQ never trims this registry: drop the jobs whose hash has expired by now.
redis.call('ZREMRANGEBYSCORE', KEYS[4], 0, ARGV[2] - ARGV[3])
redis.call('ZADD', KEYS[4], ARGV[2], ARGV[1])
redis.call('XADD', KEYS[3], 'MAXLEN', 10, '*', 'type', ARGV[5], 'worker_name', '')
redis.call('EXPIRE', KEYS[3], ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""

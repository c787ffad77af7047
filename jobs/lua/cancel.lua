
-- Cancel a job that is not done, and wake who waits for its result.
-- ARGV: ID, TTL in seconds, then the statuses that are done
-- Returns 1 if this cancelled the job, 0 if it was done, -1 if there is none.
local job_id, ttl = ARGV[1], tonumber(ARGV[2])
local key, results = job_key(job_id), results_of(job_id)
local status, queue = unpack(redis.call('HMGET', key, 'status', 'origin'))
if not status then return -1 end
for i = 3, #ARGV do
  if status == ARGV[i] then return 0 end
end
queue = queue or ''
redis.call('HSET', key, 'status', 'canceled')
redis.call('LREM', list_of(queue), 0, job_id)
-- Without its entry there an execution holds the job no more, and what it brings does not count.
for _, execution in ipairs(redis.call('ZRANGE', 'rq:executions:' .. job_id, 0, -1)) do
  redis.call('ZREM', wip_of(queue), job_id .. ':' .. execution)
end
-- Where plain RQ, or the time between two attempts, put it off.
redis.call('ZREM', 'rq:deferred:' .. queue, job_id)
redis.call('ZREM', 'rq:scheduled:' .. queue, job_id)
-- RQ never trims this registry: drop the jobs whose hash has expired by now.
local now, canceled = clock(), 'rq:canceled:' .. queue
redis.call('ZREMRANGEBYSCORE', canceled, 0, now - ttl)
redis.call('ZADD', canceled, now, job_id)
redis.call('XADD', results, 'MAXLEN', 10, '*', 'type', 3, 'worker_name', '')
expire(results, ttl)
expire(key, ttl)
local list = reply_list_of(job_id)
if list then put_reply(list, job_id) end
return 1

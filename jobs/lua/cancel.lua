
-- Cancel a job that is not done, and wake who waits for its result.
-- ARGV: ID, TTL in seconds, the time as RQ writes it, then the statuses that are done
-- Returns 1 if this cancelled the job, 0 if it was done, -1 if there is none.
local job_id, ttl, now_text = ARGV[1], tonumber(ARGV[2]), ARGV[3]

-- As RQ's RateLimitRegistry does it: the job waits for no slot any more, and one that it held goes to
-- the next that waits, unless an execution may still be at work.
local function leave_rate_limit(limit, now)
  local allowed, waiting = 'rq:rl:' .. limit .. ':allowed', 'rq:rl:' .. limit .. ':rate_limited'
  redis.call('ZREM', waiting, job_id)
  if redis.call('ZCOUNT', 'rq:executions:' .. job_id, '(' .. now, '+inf') > 0 then return end
  if redis.call('ZREM', allowed, job_id) == 0 then return end
  local most = tonumber(redis.call('HGET', 'rq:rl:' .. limit, 'concurrency') or 0) or 0
  while redis.call('ZCARD', allowed) < most do
    local next_id = redis.call('ZPOPMIN', waiting)[1]
    if not next_id then return end
    local its = redis.call('HMGET', job_key(next_id), 'origin', 'status', 'enqueue_at_front')
    if its[1] and its[2] == 'rate_limited' then
      redis.call('ZADD', allowed, now, next_id)
      redis.call('HSET', job_key(next_id), 'status', 'queued', 'enqueued_at', now_text)
      enqueue(its[1], next_id, its[3] == '1' and 'LPUSH' or 'RPUSH')
    end
  end
end

local key, results = job_key(job_id), results_of(job_id)
local fields = redis.call('HMGET', key, 'status', 'origin', 'rate_limit_key')
local status, queue, limit = unpack(fields)
if not status then return -1 end
for i = 4, #ARGV do
  if status == ARGV[i] then return 0 end
end
queue = queue or ''
redis.call('HSET', key, 'status', 'canceled')
note(job_id, 'cancelled')
redis.call('LREM', list_of(queue), 0, job_id)
redis.call('DEL', stream_of(job_id))
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
note_webhook(queue, job_id, 'cancelled')
-- Last, as a producer's rights may end here.
if limit then leave_rate_limit(limit, math.floor(now)) end
return 1

-- Store a job's outcome, if this execution still holds it.
-- KEYS: wip, registry of the outcome (finished or failed)
-- ARGV: worker, job ID, execution ID, status, result type of RQ, result field, result value,
--       time as text, field of the TTL, default TTL, time of the claim
-- Returns {whether it took effect, whether RQ has more to do: dependents, webhooks, rate limits}.
local wip, registry = KEYS[1], KEYS[2]
local worker, job_id, execution_id, status = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local composite = job_id .. ':' .. execution_id
local key = job_key(job_id)
local is_ours = holds(wip, composite) and redis.call('HGET', key, 'status') == 'started'
forget_execution(wip, worker, job_id, execution_id)
if not is_ours then return {0, 0} end

local now = clock()
local ttl = ttl_of(job_id, ARGV[9], ARGV[10])
local more = redis.call('EXISTS', key .. ':dependents') == 1
  or redis.call('HEXISTS', key, 'webhooks') == 1
  or redis.call('HEXISTS', key, 'rate_limit_key') == 1
redis.call('HSET', key, 'status', status, 'ended_at', ARGV[8], 'last_heartbeat', ARGV[8])
if ttl == 0 and not more then
  redis.call('DEL', key, key .. ':dependencies', 'rq:results:' .. job_id,
    'rq:executions:' .. job_id)
else
  record_result(job_id, ttl, {'type', ARGV[5], 'worker_name', worker, ARGV[6], ARGV[7],
    'execution_id', execution_id, 'execution_started_at', ARGV[11], 'execution_ended_at', now})
  register(registry, job_id, ttl)
  expire_job(job_id, ttl)
end
local worker_key = 'rq:worker:' .. worker
if redis.call('EXISTS', worker_key) == 1 then
  local count = status == 'finished' and 'successful_job_count' or 'failed_job_count'
  redis.call('HINCRBY', worker_key, count, 1)
  redis.call('HINCRBYFLOAT', worker_key, 'total_working_time', now - tonumber(ARGV[11]))
end
return {1, more and 1 or 0}

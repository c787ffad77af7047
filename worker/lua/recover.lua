-- Requeue the jobs whose lease has ended: their worker is dead or cut off.
-- KEYS: queue, wip, failed registry
-- ARGV: time as text, most to take, default failure TTL, the reason as RQ stores it,
--       attempts for a job that names none
-- Returns {IDs that were requeued, IDs that failed, as no attempt was left}.
local queue, wip, failed_registry = KEYS[1], KEYS[2], KEYS[3]
local now_text, default_attempts = ARGV[1], tonumber(ARGV[5])
local requeued, failed = {}, {}
local expired = redis.call('ZREVRANGEBYSCORE', wip, clock(), '-inf', 'LIMIT', 0, tonumber(ARGV[2]))
-- From the last to the first: each goes to the head of the queue, so their order stays, also where
-- there are more of them than this call takes.
for _, composite in ipairs(expired) do
  local job_id, execution_id = composite:match('^(.*):([^:]*)$')
  if not job_id then job_id, execution_id = composite, '' end  -- nobody's, and in nobody's way
  redis.call('ZREM', wip, composite)
  local worker = redis.pcall('HGET', 'rq:execution:' .. composite, 'worker_name')
  if type(worker) == 'string' then forget_execution(wip, worker, job_id, execution_id) end
  local key = job_key(job_id)
  if redis.pcall('HGET', key, 'status') == 'started' then
    local left = tonumber(redis.call('HGET', key, 'retries_left') or (default_attempts - 1)) or 0
    if left > 0 then
      redis.call('HSET', key, 'retries_left', left - 1)
      requeue(queue, job_id, now_text)
      requeued[#requeued + 1] = job_id
    else
      local ttl = ttl_of(job_id, 'failure_ttl', ARGV[3])
      redis.call('HSET', key, 'status', 'failed', 'ended_at', now_text)
      record_result(job_id, ttl, {'type', 2, 'worker_name', worker, 'exc_string', ARGV[4]})
      register(failed_registry, job_id, ttl)
      expire_job(job_id, ttl)
      failed[#failed + 1] = job_id
    end
  end
end
return {requeued, failed}

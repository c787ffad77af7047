-- Take jobs from the head of the queue until their rows fill the room.
-- KEYS: queue, wip, failed registry
-- ARGV: worker, execution ID prefix, rows wanted, lease in seconds, time as text, worker TTL,
--       attempts for a job that names none, default failure TTL, and as RQ stores it the reason for
--       refusing an ID
-- Returns a list of {job ID, execution ID, time, fields as in HMGET below}.
local queue, wip, failed_registry = KEYS[1], KEYS[2], KEYS[3]
local worker, prefix, rows_wanted, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local now_text, worker_ttl, default_attempts = ARGV[5], ARGV[6], tonumber(ARGV[7])
local lease_ttl = math.ceil(lease) + 60
local executions = 'rq:worker:' .. worker .. ':executions'
local now = clock()
local claimed, rows = {}, 0

-- RQ's readers break on other IDs than theirs, so the job fails here and no worker sees it.
local function refuse(job_id)
  local ttl = ttl_of(job_id, 'failure_ttl', ARGV[8])
  redis.call('HSET', job_key(job_id), 'status', 'failed', 'ended_at', now_text)
  record_result(job_id, ttl, {'type', 2, 'worker_name', worker, 'exc_string', ARGV[9]})
  expire_job(job_id, ttl)
  if not job_id:find('[\128-\255]') then register(failed_registry, job_id, ttl) end
end

if redis.call('EXISTS', 'rq:suspended') == 1 then return claimed end

while rows < rows_wanted do
  local job_id = redis.call('LPOP', queue)
  if not job_id then break end
  local key = job_key(job_id)
  -- An ID whose job is not queued was cancelled, deleted or pushed twice: it is nobody's loss.
  -- pcall: what stands under its key may be no job at all.
  local is_queued = redis.pcall('HGET', key, 'status') == 'queued'
  if is_queued and not job_id:find('^[%w_-]+$') then
    refuse(job_id)
  elseif is_queued then
    local execution_id = prefix .. '-' .. #claimed
    local composite = job_id .. ':' .. execution_id
    redis.call('ZADD', wip, lease_end(now, lease, #claimed), composite)
    redis.call('HSET', 'rq:execution:' .. composite, 'id', execution_id, 'job_id', job_id,
      'created_at', now, 'last_heartbeat', now, 'worker_name', worker)
    redis.call('EXPIRE', 'rq:execution:' .. composite, lease_ttl)
    redis.call('ZADD', 'rq:executions:' .. job_id, now + lease_ttl, execution_id)
    redis.call('EXPIRE', 'rq:executions:' .. job_id, lease_ttl)
    redis.call('SADD', executions, composite)
    redis.call('HSETNX', key, 'retries_left', default_attempts - 1)
    redis.call('HSET', key, 'status', 'started', 'started_at', now_text, 'ended_at', '',
      'last_heartbeat', now_text, 'worker_name', worker)
    redis.call('PERSIST', key)
    local fields = redis.call('HMGET', key, 'num_samples', 'data', 'timeout',
      'success_callback_name', 'failure_callback_name', 'stopped_callback_name', 'repeats_left')
    rows = rows + math.max(tonumber(fields[1] or 1) or 1, 1)
    claimed[#claimed + 1] = {job_id, execution_id, string.format('%.6f', now),
      unpack(fields, 2, 7)}
  end
end
if #claimed > 0 then
  redis.call('EXPIRE', executions, worker_ttl)
  set_state(worker, 'busy')
end
return claimed

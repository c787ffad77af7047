-- What the scripts share. Each script runs after this text, as one atomic step on the server.
-- RQ 3's layout: a job is the hash rq:job:<id>; who runs it stands in the queue's wip set as
-- <job>:<execution>, scored with the time at which the lease ends.

local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1e6
end

local function job_key(job_id)
  return 'rq:job:' .. job_id
end

-- Whether this execution still holds the job: what it does counts only if so.
local function holds(wip, composite)
  return redis.call('ZSCORE', wip, composite) ~= false
end

-- When the lease of the n-th of a worker's jobs ends: microseconds apart, so that the wip set keeps
-- the order in which they were claimed.
local function lease_end(now, lease, n)
  return now + lease + n / 1e6
end

-- A record that is gone stays so: without its other fields it would be no worker's.
local function set_state(worker, state)
  local key = 'rq:worker:' .. worker
  if redis.call('EXISTS', key) == 1 then redis.call('HSET', key, 'state', state) end
end

local function forget_execution(wip, worker, job_id, execution_id)
  local composite = job_id .. ':' .. execution_id
  local executions = 'rq:worker:' .. worker .. ':executions'
  redis.call('ZREM', wip, composite)
  redis.call('DEL', 'rq:execution:' .. composite)
  redis.call('ZREM', 'rq:executions:' .. job_id, execution_id)
  redis.call('SREM', executions, composite)
  if redis.call('SCARD', executions) == 0 then set_state(worker, 'idle') end
end

-- Put a job back at the head of its queue.
local function requeue(queue, job_id, now_text)
  redis.call('HSET', job_key(job_id), 'status', 'queued', 'enqueued_at', now_text,
    'started_at', '', 'worker_name', '')
  redis.call('LPUSH', queue, job_id)
end

-- How long to keep what is left of a job, in whole seconds: its own setting, else the worker's.
local function ttl_of(job_id, field, default)
  local ttl = tonumber(redis.call('HGET', job_key(job_id), field) or default)
  if not (ttl and ttl > -2^31 and ttl < 2^31) then ttl = tonumber(default) end  -- also nan
  return math.floor(ttl)
end

-- Seconds, as RQ means them: negative is for ever. 0 is not at all, and what follows a job up still
-- needs it for a moment.
local function expire(key, ttl)
  if ttl < 0 then
    redis.call('PERSIST', key)
  else
    redis.call('EXPIRE', key, ttl == 0 and 60 or ttl)
  end
end

local function expire_job(job_id, ttl)
  expire(job_key(job_id), ttl)
  expire(job_key(job_id) .. ':dependents', ttl)
  expire('rq:job:' .. job_id .. ':dependencies', ttl)
end

local function record_result(job_id, ttl, fields)
  local key = 'rq:results:' .. job_id
  redis.call('XADD', key, 'MAXLEN', '~', 10, '*', unpack(fields))
  expire(key, ttl)
end

local function register(registry, job_id, ttl)
  redis.call('ZADD', registry, ttl < 0 and '+inf' or (clock() + ttl), job_id)
end

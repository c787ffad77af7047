-- What the worker's scripts share, beside layout.lua of `jobs`.

-- What a call under pcall failed with, as text.
local function text_of(problem)
  return type(problem) == 'table' and problem.err or tostring(problem)
end

-- Whether the server may take the same later: it is out of memory, read-only, loading, or its access
-- rules are to be mended. Nothing may be given up for that; the script fails, and is run again.
local function passes(problem)
  local text = text_of(problem)
  local code = text:match('^(%u+) ')
  return text:find('ACL failure', 1, true) or code and code ~= 'ERR' and code ~= 'WRONGTYPE'
end

-- Act on one job, as by pcall: what stands under its keys may be anything, and harms that job alone.
-- Where the server would take the same later, the script fails.
local function attempt(act, ...)
  local is_well, answer = pcall(act, ...)
  if not is_well and passes(answer) then error(text_of(answer), 0) end
  return is_well, answer
end

-- RQ's readers give up jobs whose score is past, in several steps between which their worker may
-- end them. So scores are a minute later than leases: by then a worker has recovered the job.
local MARGIN = 60

-- The n-th of a worker's jobs, microseconds apart, so that the wip set keeps their order.
local function lease_score(now, lease, n) return now + lease + MARGIN + n / 1e6 end

-- Whether this execution still holds the job: what it does counts only if so.
local function holds(queue, job_id, execution_id)
  return redis.call('ZSCORE', wip_of(queue), job_id .. ':' .. execution_id)
    and redis.call('HGET', job_key(job_id), 'status') == 'started'
end

-- A record that is gone stays so: without its other fields it would be no worker's.
local function set_state(worker, state)
  local key = 'rq:worker:' .. worker
  if redis.call('EXISTS', key) == 1 then redis.call('HSET', key, 'state', state) end
end

local function executions_of(worker) return 'rq:worker:' .. worker .. ':executions' end

local function forget_execution(queue, worker, job_id, execution_id)
  local composite = job_id .. ':' .. execution_id
  redis.call('ZREM', wip_of(queue), composite)
  redis.call('DEL', 'rq:execution:' .. composite)
  redis.call('ZREM', 'rq:executions:' .. job_id, execution_id)
  redis.call('SREM', executions_of(worker), composite)
end

local function rest_if_idle(worker)
  if redis.call('EXISTS', executions_of(worker)) == 0 then set_state(worker, 'idle') end
end

-- Put a job on its queue again: at its head with LPUSH, at its tail with RPUSH.
local function requeue(queue, job_id, push, now_text)
  redis.call('HSET', job_key(job_id), 'status', 'queued', 'enqueued_at', now_text,
    'started_at', '', 'worker_name', '')
  enqueue(queue, job_id, push)
end

-- Give up a job without an outcome: if this execution still holds it, it goes back to the head of
-- its queue, and the attempt does not count. Returns whether it did.
local function give_back(queue, worker, job_id, execution_id, now_text)
  local is_ours = holds(queue, job_id, execution_id)
  forget_execution(queue, worker, job_id, execution_id)
  if is_ours then
    local key = job_key(job_id)
    local fields = redis.call('HMGET', key, 'attempts', 'life')
    local attempts = tonumber(fields[1] or 0) or 0
    redis.call('HSET', key, 'attempts', math.max(attempts - 1, 0),
      'life', lived(fields[2], 'returned', clock(), worker, execution_id))
    requeue(queue, job_id, 'LPUSH', now_text)
  end
  return is_ours
end

-- How long to keep what is left of a job, in whole seconds: its own setting, else the worker's.
local function ttl_of(job_id, field, default)
  local ttl = tonumber(redis.call('HGET', job_key(job_id), field) or default)
  if not (ttl and ttl > -2^31 and ttl < 2^31) then ttl = tonumber(default) end  -- also nan
  return math.floor(ttl)
end

-- Whether RQ has more to do once a job has ended.
local function has_more(job_id, status)
  local key = job_key(job_id)
  if redis.call('EXISTS', key .. ':dependents') == 1 then return true end
  local fields = redis.call('HMGET', key, 'webhooks', 'rate_limit_key', 'repeats_left')
  local repeats = status == 'finished' and tonumber(fields[3] or 0) or 0
  return fields[1] or fields[2] or repeats > 0
end

local STREAM_SECONDS = 60  -- for who still reads what was streamed, and could have it from the result

local RESULT_TYPES = {finished = 1, failed = 2, stopped = 3}
local WEBHOOK_STATUSES = {finished = 'finished', failed = 'failed', stopped = 'cancelled'}

-- End a job: its status, result, registry, lifetimes, reply list, webhook, and what is to follow.
-- outcome: status; value, as RQ stores it; default_ttl; worker; now_text; and of an execution id,
-- claimed_at and done_at. Returns whether RQ has more to do.
local function conclude(queue, job_id, outcome)
  local key, results = job_key(job_id), results_of(job_id)
  local status = outcome.status
  local is_success = status == 'finished'
  local ttl = ttl_of(job_id, is_success and 'result_ttl' or 'failure_ttl', outcome.default_ttl)
  local more = has_more(job_id, status)
  local list = reply_list_of(job_id)
  -- Never first: a server whose memory is full refuses a script until its first write, whatever that is.
  local function tell()
    if list then put_reply(list, job_id) end
    note_webhook(queue, job_id, WEBHOOK_STATUSES[status], status == 'failed' and outcome.value)
    redis.call('EXPIRE', stream_of(job_id),
      ttl > 0 and math.min(ttl, STREAM_SECONDS) or STREAM_SECONDS)
  end
  if ttl == 0 and not more then
    tell()
    redis.call('DEL', key, key .. ':dependencies', results, 'rq:executions:' .. job_id)
    return false
  end
  if redis.call('EXISTS', results) == 1 then  -- it has ended before, and was pushed again
    leave_registries(queue, job_id)
  end
  local now = clock()
  local result = {'type', RESULT_TYPES[status], 'worker_name', outcome.worker,
    is_success and 'return_value' or 'exc_string', outcome.value, 'execution_id', outcome.id or '',
    'execution_started_at', outcome.claimed_at or now, 'execution_ended_at', now}
  -- What stands there may be no stream, or one that takes no more entries.
  local answer = redis.pcall('XADD', results, 'MAXLEN', '~', 10, '*', unpack(result))
  if type(answer) == 'table' and answer.err then
    if passes(answer) then error(text_of(answer), 0) end
    redis.call('DEL', results)
    redis.call('XADD', results, '*', unpack(result))
  end
  local life = lived(redis.call('HGET', key, 'life'), status, now, outcome.worker, outcome.id,
    outcome.done_at)
  redis.call('HSET', key, 'status', status, 'ended_at', outcome.now_text,
    'last_heartbeat', outcome.now_text, 'life', life)
  -- Who gave up an attempt too many stays a suspect, should somebody push the job again.
  if outcome.id then redis.call('HDEL', key, 'attempts') end
  redis.call('ZADD', (is_success and 'rq:finished:' or 'rq:failed:') .. queue,
    ttl < 0 and '+inf' or now + ttl, job_id)
  expire(results, ttl)
  expire(key, ttl)
  expire(key .. ':dependents', ttl)
  expire(key .. ':dependencies', ttl)
  tell()
  -- The score: when another worker may take over what this one has not done.
  if more then redis.call('ZADD', follow_ups_of(queue), now + 60, job_id) end
  return more
end

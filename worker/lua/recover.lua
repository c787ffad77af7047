-- See to one queue: the jobs whose lease has ended, as their worker is dead or cut off, those whose
-- time to be tried again has come, and those at its head that nobody waits for any more.
-- ARGV: queue, time as text, most to take of each kind, default failure TTL, as RQ stores them the
--       reasons for a job without attempts left and for a late one, attempts for a job that names none
-- Returns {how many went back, how many are to be tried later, IDs that failed, IDs among them of
-- which RQ has more to do, how many were put on the queue, whether there may be more of them, how
-- many failed as no attempt was left}.
local queue, now_text, most, default_failure_ttl = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local ABANDONED, TOO_LATE, default_attempts = ARGV[5], ARGV[6], tonumber(ARGV[7])
local LONGEST_WAIT, LONGEST_INTERVAL = 60, 24 * 3600  -- seconds; RQ's own lists may ask for more
local MOST_ATTEMPTS = 1e6
local MOST_LATE = 1000
local now = clock()
local num_back, num_later, num_due, num_abandoned, failed, more = 0, 0, 0, 0, {}, {}

local function fail(job_id, worker, reason)
  if conclude(queue, job_id, {status = 'failed', value = reason, worker = worker,
    default_ttl = default_failure_ttl, now_text = now_text}) then
    more[#more + 1] = job_id
  end
  failed[#failed + 1] = job_id
end

-- Seconds until the next attempt: as the job's own list says, by RQ's rule; where it says 0, as it
-- does unless told otherwise, none after the first attempt, and then 1, 2, 4 ...
local function wait_before_next(job_id, left)
  local fields = redis.call('HMGET', job_key(job_id), 'retry_intervals', 'attempts')
  local is_list, intervals = pcall(cjson.decode, fields[1] or '')
  if is_list and type(intervals) == 'table' and #intervals > 0 then
    local interval = intervals[math.max(#intervals - left, 0) + 1]
    if type(interval) == 'number' and interval > 0 then
      return math.min(interval, LONGEST_INTERVAL)
    end
  end
  local attempts = tonumber(fields[2] or 1) or 1
  return attempts < 2 and 0 or math.min(2 ^ (attempts - 2), LONGEST_WAIT)
end

local function retry(job_id, left)
  local wait = wait_before_next(job_id, left)
  redis.call('HSET', job_key(job_id), 'retries_left', left - 1)
  if wait == 0 then
    requeue(queue, job_id, 'LPUSH', now_text)
    num_back = num_back + 1
  else
    redis.call('HSET', job_key(job_id), 'status', 'scheduled', 'started_at', '', 'worker_name', '')
    redis.call('ZADD', 'rq:scheduled:' .. queue, now + wait, job_id)
    num_later = num_later + 1
  end
end

-- What anybody may have written, as a part of an entry in a job's life.
local function word(text) return (text:sub(1, 64):gsub('[^%w_.-]', '_')) end

local function recover(job_id, worker, execution_id)
  local key = job_key(job_id)
  if redis.call('HGET', key, 'status') ~= 'started' then return end
  note(job_id, 'lost', word(worker), word(execution_id))
  local left = tonumber(redis.call('HGET', key, 'retries_left') or (default_attempts - 1)) or 0
  left = math.floor(math.min(left, MOST_ATTEMPTS))
  if left > 0 then return retry(job_id, left) end
  fail(job_id, worker, ABANDONED)
  num_abandoned = num_abandoned + 1
end

-- Below, each job has its new place before it leaves the old one: a server that is out of memory may
-- allow the second alone.

-- From the last to the first: each goes to the head of the queue, so their order stays, also where
-- there are more of them than this call takes.
local ended = redis.call('ZREVRANGEBYSCORE', wip_of(queue), now + MARGIN, '-inf', 'LIMIT', 0, most)
for _, composite in ipairs(ended) do
  local job_id, execution_id = composite:match('^(.*):([^:]*)$')
  if not job_id then job_id, execution_id = composite, '' end
  local worker = redis.pcall('HGET', 'rq:execution:' .. composite, 'worker_name')
  worker = type(worker) == 'string' and worker or ''
  if attempt(recover, job_id, worker, execution_id) then
    redis.call('ZREM', wip_of(queue), composite)
    attempt(forget_execution, queue, worker, job_id, execution_id)
    rest_if_idle(worker)
  else
    redis.call('ZADD', wip_of(queue), now + 2 * MARGIN, composite)  -- perhaps later
  end
end

-- In their order: those that were put off for later go to the tail of the queue, from the first to
-- the last, and retries to its head, from the last to the first.
local due = redis.call('ZRANGEBYSCORE', 'rq:scheduled:' .. queue, '-inf', now, 'LIMIT', 0, most)

local function enqueue_due(job_id, is_for_retries)
  local fields = redis.call('HMGET', job_key(job_id), 'status', 'attempts')
  local is_retry = (tonumber(fields[2] or 0) or 0) > 0
  if fields[1] ~= 'scheduled' or is_retry ~= is_for_retries then return end
  note(job_id, 'due')
  requeue(queue, job_id, is_retry and 'LPUSH' or 'RPUSH', now_text)
  num_due = num_due + 1
end

for i = 1, #due do attempt(enqueue_due, due[i], false) end
for i = #due, 1, -1 do attempt(enqueue_due, due[i], true) end
for _, job_id in ipairs(due) do redis.call('ZREM', 'rq:scheduled:' .. queue, job_id) end

for _, job_id in ipairs(redis.call('LRANGE', list_of(queue), 0, MOST_LATE - 1)) do
  local fields = redis.pcall('HMGET', job_key(job_id), 'status', 'deadline')
  if not fields.err and fields[1] == 'queued' and (tonumber(fields[2] or '') or now) < now then
    attempt(fail, job_id, '', TOO_LATE)
    redis.call('LREM', list_of(queue), 1, job_id)
  end
end

if queue:find('@', 1, true) then
  if redis.call('LLEN', list_of(queue)) > 0 then
    enter_turns(queue)  -- somebody may have pushed without our client
  elseif redis.call('EXISTS', wip_of(queue), 'rq:scheduled:' .. queue, 'rq:finished:' .. queue,
    'rq:failed:' .. queue, 'rq:canceled:' .. queue, 'rq:deferred:' .. queue,
    follow_ups_of(queue)) == 0 then
    redis.call('SREM', 'rq:queues', list_of(queue))  -- nothing of this tenant is left
  end
end
return {num_back, num_later, failed, more, num_due, (#ended == most or #due == most) and 1 or 0,
  num_abandoned}

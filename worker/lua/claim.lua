-- Take jobs from queues, in their order, until the jobs' rows fill the room.
-- ARGV: worker, prefix of execution IDs, rows wanted, lease in seconds, time as text, worker TTL,
--       attempts for a job that names none, default failure TTL, most bytes of a payload,
--       1 if the worker runs nothing, prefixes of claims whose answers were lost with commas between,
--       as RQ stores them the reasons to refuse an ID, a payload, a late job and broken keys,
--       then the queues
-- Returns {whether what was taken must run alone, whether a job waits for this worker to run nothing,
-- whether the queues are empty, claims}; a claim is {queue, job ID, execution ID, time, its fields
-- data, timeout, deadline, created_at and num_samples, the lengths of its reply list's name, its
-- webhook's URL and its three callbacks' names, and which attempt this is}.
local worker, prefix, rows_wanted, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local now_text, worker_ttl, default_attempts = ARGV[5], ARGV[6], tonumber(ARGV[7])
local default_failure_ttl, max_payload, is_idle = ARGV[8], tonumber(ARGV[9]), ARGV[10] == '1'
local lost_prefixes = ARGV[11]
local BAD_ID, TOO_LARGE, TOO_LATE, BROKEN = ARGV[12], ARGV[13], ARGV[14], ARGV[15]
local FIRST_QUEUE = 16
local MOST_LOOKS = 1000  -- the server serves nobody else meanwhile
local executions = executions_of(worker)
local lease_ttl = math.ceil(lease) + MARGIN
local now = clock()
local claimed, rows, num_bytes = {}, 0, 0
local is_alone, is_blocked, has_turns = false, false, false

local function refuse(queue, job_id, reason)
  conclude(queue, job_id, {status = 'failed', value = reason, worker = worker,
    default_ttl = default_failure_ttl, now_text = now_text})
  -- RQ's readers break on bytes that are no text.
  if job_id:find('[\128-\255]') then redis.call('ZREM', 'rq:failed:' .. queue, job_id) end
end

-- Producers may write anything into these: numbers outside these bounds are taken as the default.
local function bounded(text, least, most, default)
  local number = tonumber(text or default)
  return number and number >= least and number <= most and math.floor(number) or default
end

local function register(queue, job_id, attempts, retries_left, life)
  local key = job_key(job_id)
  local execution_id = prefix .. '-' .. #claimed
  local composite = job_id .. ':' .. execution_id
  redis.call('ZADD', 'rq:executions:' .. job_id, now + lease_ttl, execution_id)
  redis.call('EXPIRE', 'rq:executions:' .. job_id, lease_ttl)
  redis.call('HSET', 'rq:execution:' .. composite, 'id', execution_id, 'job_id', job_id,
    'created_at', now, 'last_heartbeat', now, 'worker_name', worker, 'queue', queue)
  redis.call('EXPIRE', 'rq:execution:' .. composite, lease_ttl)
  redis.call('ZADD', wip_of(queue), lease_score(now, lease, #claimed), composite)
  redis.call('SADD', executions, composite)
  -- The attempt is counted before it runs: no crash can lose the count.
  redis.call('HSET', key, 'status', 'started', 'started_at', now_text, 'ended_at', '',
    'last_heartbeat', now_text, 'worker_name', worker, 'attempts', attempts + 1,
    'retries_left', retries_left or default_attempts - 1,
    'life', lived(life, 'claimed', now, worker, execution_id, attempts + 1))
  redis.call('PERSIST', key)
  return execution_id
end

-- Take the first job of a queue, or leave it there where it has to run alone and can't now.
local function take(queue, job_id)
  local key = job_key(job_id)
  if #job_id > 128 or not job_id:find('^[%w_-]+$') then return refuse(queue, job_id, BAD_ID) end
  local its_bytes = redis.call('HSTRLEN', key, 'data')
  if its_bytes > max_payload then return refuse(queue, job_id, TOO_LARGE) end
  local fields = redis.call('HMGET', key, 'num_samples', 'attempts', 'deadline', 'timeout',
    'created_at', 'retries_left', 'priority', 'reply_to', 'webhook_url', 'success_callback_name',
    'failure_callback_name', 'stopped_callback_name', 'life')
  for i = 1, 7 do
    if fields[i] and #fields[i] > 64 then return refuse(queue, job_id, BROKEN) end
  end
  if (tonumber(fields[3] or '') or now) < now then return refuse(queue, job_id, TOO_LATE) end
  -- An attempt before this one took its worker down, perhaps by this job: it runs alone.
  local attempts = bounded(fields[2], 0, 2^31, 0)
  if attempts > 0 and not (is_idle and #claimed == 0) then
    is_blocked = true
    return
  end
  local execution_id = register(queue, job_id, attempts, fields[6], fields[13])
  local claim = {queue, job_id, execution_id, string.format('%.6f', now),
    redis.call('HGET', key, 'data'), fields[4], fields[3], fields[5], fields[1]}
  for i = 8, 12 do claim[#claim + 1] = fields[i] and #fields[i] or 0 end
  claim[#claim + 1] = attempts + 1
  claimed[#claimed + 1] = claim
  is_alone = attempts > 0
  local its_rows = bounded(fields[1], 1, 65535, 1)
  rows, num_bytes = rows + its_rows, num_bytes + its_bytes
  if has_turns then
    local share = its_rows / bounded(fields[7], 1, 100, 1)
    redis.call('ZINCRBY', turns_of(base_of(queue)), string.format('%.6f', share), queue)
  end
end

-- Anybody who may push may also write into the turns.
local function is_of(base, queue)
  local tenant = queue:sub(1, #base + 1) == base .. '@' and queue:sub(#base + 2)
  return queue == base or tenant and is_name(tenant)
end

-- The queue that is next among a queue and its tenants, or nil: whose jobs have had least rows
-- for their priorities.
local function next_of(base)
  local turns = turns_of(base)
  has_turns = redis.call('EXISTS', turns) == 1
  if has_turns then
    if redis.call('LLEN', list_of(base)) > 0 then enter_turns(base) end
    while true do
      local queue = redis.call('ZRANGE', turns, 0, 0)[1]
      has_turns = queue and true
      if not queue then break end
      if is_of(base, queue) and redis.call('LLEN', list_of(queue)) > 0 then return queue end
      redis.call('ZREM', turns, queue)
    end
  end
  if redis.call('LLEN', list_of(base)) > 0 then return base end
  redis.call('DEL', bell_of(base))
end

local function give_back_lost_claims()
  local is_lost = {}
  for its in lost_prefixes:gmatch('[^,]+') do is_lost[its] = true end
  for _, composite in ipairs(redis.call('SMEMBERS', executions)) do
    local job_id, execution_id = composite:match('^(.*):([^:]*)$')
    local queue = redis.call('HGET', 'rq:execution:' .. composite, 'queue')
    if queue and is_lost[execution_id:match('^(.*)%-%d+$')] then
      attempt(give_back, queue, worker, job_id, execution_id, now_text)
    end
  end
  rest_if_idle(worker)
end

-- Look at the first job of a queue. It leaves the list once it has another place, as a server that
-- is out of memory would not let us put it back.
local function look(queue)
  local job_id = redis.call('LINDEX', list_of(queue), 0)
  -- An ID whose job is not queued was cancelled, deleted or pushed twice: it is nobody's loss.
  if redis.pcall('HGET', job_key(job_id), 'status') == 'queued' then
    local is_well = attempt(take, queue, job_id)
    if is_blocked then return end
    if not is_well then
      redis.call('DEL', 'rq:executions:' .. job_id, results_of(job_id))
      pcall(refuse, queue, job_id, BROKEN)
    end
  end
  redis.call('LPOP', list_of(queue))
end

if lost_prefixes ~= '' then give_back_lost_claims() end
if redis.call('EXISTS', 'rq:suspended') == 1 then return {0, 0, 0, claimed} end

local looks, num_empty = 0, 0
for i = FIRST_QUEUE, #ARGV do
  while rows < rows_wanted and num_bytes < max_payload and looks < MOST_LOOKS
    and not is_alone and not is_blocked do
    local queue = next_of(ARGV[i])
    if not queue then
      num_empty = num_empty + 1
      break
    end
    look(queue)
    looks = looks + 1
  end
end
if #claimed > 0 then
  redis.call('EXPIRE', executions, worker_ttl)
  set_state(worker, 'busy')
end
local is_empty = num_empty == #ARGV - FIRST_QUEUE + 1
return {is_alone and 1 or 0, is_blocked and 1 or 0, is_empty and 1 or 0, claimed}

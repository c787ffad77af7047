-- Store outcomes of jobs: each counts only if its execution still holds the job.
-- ARGV: worker, time as text, default result TTL, default failure TTL, then for each outcome
--       queue, job ID, execution ID, time of the claim, when its rows were there, status, value as
--       RQ stores it.
--       The status 'lost' brings no outcome: what is left of the execution goes.
-- Returns for each 0: it came late and was dropped, 1: it counts, 2: it does, and RQ has more to
-- do, or the server's reason for not taking it.
local worker, now_text, result_ttl, failure_ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local counts, answers = {finished = 0, failed = 0, stopped = 0, late = 0}, {}
local seconds, now = 0, clock()

-- Whether this very outcome is stored already: then the answer to it was lost on its way.
local function is_stored(job_id, execution_id)
  local last = redis.call('XREVRANGE', results_of(job_id), '+', '-', 'COUNT', 1)[1]
  for i = 1, last and #last[2] or 0, 2 do
    if last[2][i] == 'execution_id' then return last[2][i + 1] == execution_id end
  end
  return false
end

local function finish(queue, job_id, execution_id, claimed_at, done_at, status, value)
  local is_ours = holds(queue, job_id, execution_id)
  if status ~= 'lost' and not is_ours and is_stored(job_id, execution_id) then return 1 end
  local more = false
  if status ~= 'lost' and is_ours then
    more = conclude(queue, job_id, {status = status, value = value, worker = worker,
      default_ttl = status == 'finished' and result_ttl or failure_ttl,
      now_text = now_text, id = execution_id, claimed_at = claimed_at, done_at = done_at})
    seconds = seconds + now - tonumber(claimed_at)
  else
    note(job_id, status == 'lost' and 'dropped' or 'late', worker, execution_id,
      status ~= 'lost' and status)
  end
  forget_execution(queue, worker, job_id, execution_id)
  if status == 'lost' then return 1 end
  local kind = is_ours and status or 'late'
  counts[kind] = counts[kind] + 1
  return is_ours and (more and 2 or 1) or 0
end

for i = 5, #ARGV, 7 do
  local is_well, answer = attempt(finish, unpack(ARGV, i, i + 6))
  answers[#answers + 1] = is_well and answer or text_of(answer)
end

local record = 'rq:worker:' .. worker
if redis.call('EXISTS', record) == 1 then
  redis.call('HINCRBY', record, 'successful_job_count', counts.finished)
  redis.call('HINCRBY', record, 'failed_job_count', counts.failed + counts.stopped)
  redis.call('HINCRBY', record, 'late_results', counts.late)
  redis.call('HINCRBYFLOAT', record, 'total_working_time', seconds)
end
rest_if_idle(worker)
return answers

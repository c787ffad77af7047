-- Give a job up without an outcome.
-- KEYS: queue, wip
-- ARGV: worker, job ID, execution ID, time as text
-- A job that this execution still holds goes back to the head of its queue, and the attempt does
-- not count. Returns whether it did.
local queue, wip = KEYS[1], KEYS[2]
local worker, job_id, execution_id = ARGV[1], ARGV[2], ARGV[3]
local is_ours = holds(wip, job_id .. ':' .. execution_id)
  and redis.call('HGET', job_key(job_id), 'status') == 'started'
forget_execution(wip, worker, job_id, execution_id)
if is_ours then requeue(queue, job_id, ARGV[4]) end
return is_ours and 1 or 0

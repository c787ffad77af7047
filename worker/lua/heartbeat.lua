-- Extend the leases of a worker's executions.
-- ARGV: lease in seconds, time as text, then queue, job ID and execution ID of each claim
-- Returns the execution IDs that no longer hold their job.
local lease, now_text = tonumber(ARGV[1]), ARGV[2]
local now, lease_ttl = clock(), math.max(math.ceil(lease), 0) + MARGIN
local lost = {}
for i = 3, #ARGV, 3 do
  local queue, job_id, execution_id = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local composite = job_id .. ':' .. execution_id
  if holds(queue, job_id, execution_id) then
    redis.call('ZADD', wip_of(queue), lease_score(now, lease, (i - 3) / 3), composite)
    redis.call('HSET', 'rq:execution:' .. composite, 'last_heartbeat', now)
    redis.call('EXPIRE', 'rq:execution:' .. composite, lease_ttl)
    redis.call('ZADD', 'rq:executions:' .. job_id, now + lease_ttl, execution_id)
    redis.call('EXPIRE', 'rq:executions:' .. job_id, lease_ttl)
    redis.call('HSET', job_key(job_id), 'last_heartbeat', now_text)
  else
    lost[#lost + 1] = execution_id
  end
end
return lost

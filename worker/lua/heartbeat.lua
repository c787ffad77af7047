-- Extend the leases of a worker's executions.
-- KEYS: wip
-- ARGV: lease in seconds, time as text, then job ID and execution ID of each execution
-- Returns the execution IDs that no longer hold their job.
local wip, lease, now_text = KEYS[1], tonumber(ARGV[1]), ARGV[2]
local now, lease_ttl = clock(), math.ceil(lease) + 60
local lost = {}
for i = 3, #ARGV, 2 do
  local job_id, execution_id = ARGV[i], ARGV[i + 1]
  local composite = job_id .. ':' .. execution_id
  if holds(wip, composite) and redis.call('HGET', job_key(job_id), 'status') == 'started' then
    redis.call('ZADD', wip, lease_end(now, lease, (i - 3) / 2), composite)
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

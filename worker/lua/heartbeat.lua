-- Extend the leases of a worker's executions.
-- ARGV: lease in seconds, time as text, then queue, job ID and execution ID of each claim
-- Returns the execution IDs that no longer hold their job.
local lease, now_text = tonumber(ARGV[1]), ARGV[2]
local now, lease_ttl = clock(), math.max(math.ceil(lease), 0) + MARGIN
local lost = {}

local function beat(queue, job_id, execution_id, n)
  if not holds(queue, job_id, execution_id) then return false end
  local composite = job_id .. ':' .. execution_id
  redis.call('ZADD', 'rq:executions:' .. job_id, now + lease_ttl, execution_id)
  redis.call('EXPIRE', 'rq:executions:' .. job_id, lease_ttl)
  redis.call('ZADD', wip_of(queue), lease_score(now, lease, n), composite)
  redis.call('HSET', 'rq:execution:' .. composite, 'last_heartbeat', now)
  redis.call('EXPIRE', 'rq:execution:' .. composite, lease_ttl)
  redis.call('HSET', job_key(job_id), 'last_heartbeat', now_text)
  return true
end

for i = 3, #ARGV, 3 do
  local is_well, is_held = attempt(beat, ARGV[i], ARGV[i + 1], ARGV[i + 2], (i - 3) / 3)
  if not (is_well and is_held) then lost[#lost + 1] = ARGV[i + 2] end
end
return lost

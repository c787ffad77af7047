
-- Delete jobs that are done, with all that the server keeps of them.
-- ARGV: how many statuses mean that a job is done, these, then IDs
-- Returns how many jobs were deleted.
local FOLLOW_UP_SECONDS = 120
local is_done, num_deleted = {}, 0
local first_id = ARGV[1] + 2
for i = 2, first_id - 1 do is_done[ARGV[i]] = true end
for i = first_id, #ARGV do
  local job_id = ARGV[i]
  local key = job_key(job_id)
  local status, queue = unpack(redis.call('HMGET', key, 'status', 'origin'))
  if status and is_done[status] then
    leave_registries(queue or '', job_id)
    redis.call('DEL', results_of(job_id), stream_of(job_id), 'rq:executions:' .. job_id)
    local rest = {key, key .. ':dependents', key .. ':dependencies'}
    if queue and redis.call('ZSCORE', follow_ups_of(queue), job_id) then
      -- A worker is about to see to what hangs on it.
      for _, its in ipairs(rest) do redis.call('EXPIRE', its, FOLLOW_UP_SECONDS) end
    else
      redis.call('DEL', unpack(rest))
    end
    num_deleted = num_deleted + 1
  end
end
return num_deleted


-- Store jobs and put them on their queue, in their order, but for those whose ID is taken.
-- ARGV: queue, the length at which the queue is full or '', then for each job
--       ID, created_at, seconds until its deadline or '', number of items, then field, value, ...
-- Returns for each 1: it is stored, 0: its ID belongs to another job, -1: the queue is full.
local queue, most = ARGV[1], tonumber(ARGV[2])
local answers, is_full = {}, false
local life = lived(nil, 'pushed', clock())
redis.call('SADD', 'rq:queues', list_of(queue))

local function push(job_id, created_at, deadline_seconds, first, last)
  local key = job_key(job_id)
  if redis.call('EXISTS', key) == 1 then
    -- The same creation time to the microsecond is this very push, sent again after a lost reply.
    return redis.call('HGET', key, 'created_at') == created_at and 1 or 0
  end
  -- Once it is full it stays so for this call: those that come later must not overtake.
  is_full = is_full or (most and redis.call('LLEN', list_of(queue)) >= most)
  if is_full then return -1 end
  -- They may outlive the job that had this ID before.
  redis.call('DEL', results_of(job_id), stream_of(job_id))
  redis.call('HSET', key, 'life', life, unpack(ARGV, first, last))
  if deadline_seconds ~= '' then
    redis.call('HSET', key, 'deadline', clock() + tonumber(deadline_seconds))
  end
  enqueue(queue, job_id, 'RPUSH')
  return 1
end

local i = 3
while i <= #ARGV do
  local first = i + 4
  local last = first + tonumber(ARGV[i + 3]) - 1
  answers[#answers + 1] = push(ARGV[i], ARGV[i + 1], ARGV[i + 2], first, last)
  i = last + 1
end
return answers

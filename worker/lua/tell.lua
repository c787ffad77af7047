-- Append chunks to the streams of jobs: each only if its execution still holds the job.
-- ARGV: most chunks of a stream, seconds to keep it after the last one, then for each chunk
--       queue, job ID, execution ID, the chunk
-- Returns for each 0: it came late and was dropped, 1: it is there, or the server's reason for not
-- taking it.
local most, seconds = ARGV[1], ARGV[2]
local answers = {}

local function tell(queue, job_id, execution_id, chunk)
  if not holds(queue, job_id, execution_id) then return 0 end
  local stream = stream_of(job_id)
  redis.call('XADD', stream, 'MAXLEN', '~', most, '*', 'chunk', chunk)
  redis.call('EXPIRE', stream, seconds)
  return 1
end

for i = 3, #ARGV, 4 do
  local is_well, answer = attempt(tell, unpack(ARGV, i, i + 3))
  answers[#answers + 1] = is_well and answer or text_of(answer)
end
return answers

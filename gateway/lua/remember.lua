-- Know a request by its key, and which of its jobs are there.
-- ARGV: the key, the fingerprint of the request's body, seconds to remember it, then job IDs
-- Returns the fingerprint under which the key is known, now or from before, and the indices from 0
-- of the IDs that no job has.
local key = 'rowmill:idempotency:' .. ARGV[1]
local known = redis.call('HGET', key, 'body')
if not known then
  known = ARGV[2]
  redis.call('HSET', key, 'body', known)
  redis.call('EXPIRE', key, ARGV[3])
end
local missing = {}
for i = 4, #ARGV do
  if redis.call('EXISTS', job_key(ARGV[i])) == 0 then missing[#missing + 1] = i - 4 end
end
return {known, missing}

-- Claim webhooks that are due, by moving their time forward: who claims one and dies loses it then.
-- ARGV: queue, most to claim, lease in seconds
-- Returns {how many are due, those claimed among them included, claims}; a claim is {job ID, its
-- time as text, which attempt this is, url, status, tenant, num_samples, reason, ended_at}.
local queue, most, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local marks, now = webhooks_of(queue), clock()
local claims = {}

-- Who may end a job may write anything there: fields of other sizes than ours are none of ours.
local MOST = {url = MOST_OF_URL, status = 16, tenant = 128, num_samples = 16,
  reason = MOST_OF_REASON, ended_at = 32, attempts = 16}

local function is_readable(event)
  for field, most_bytes in pairs(MOST) do
    local length = redis.pcall('HSTRLEN', event, field)
    if type(length) ~= 'number' or length > most_bytes then return false end
  end
  return redis.call('EXISTS', event) == 1
end

local function claim(job_id, score)
  local event = webhook_of(job_id)
  local its = redis.call('HMGET', event, 'url', 'status', 'tenant', 'num_samples', 'reason',
    'ended_at', 'attempts')
  -- The attempt is counted before it is made: no crash can lose the count.
  local attempt = tonumber(its[7] or '') or 0
  attempt = attempt > 0 and attempt < 1e6 and math.floor(attempt) + 1 or 1
  redis.call('HSET', event, 'attempts', string.format('%.0f', attempt))
  redis.call('EXPIRE', event, WEBHOOK_SECONDS)
  redis.call('ZADD', marks, score, job_id)
  local claimed = {job_id, score, string.format('%.0f', attempt)}
  for i = 1, 6 do claimed[#claimed + 1] = its[i] or '' end
  claims[#claims + 1] = claimed
end

local num_due = redis.call('ZCOUNT', marks, '-inf', now)
for i, job_id in ipairs(redis.call('ZRANGEBYSCORE', marks, '-inf', now, 'LIMIT', 0, most)) do
  if is_readable(webhook_of(job_id)) then
    -- Microseconds apart, so that a claim is known by its time.
    claim(job_id, string.format('%.17g', now + lease + i / 1e6))
  else
    redis.call('ZREM', marks, job_id)
  end
end
if #claims > 0 then redis.call('EXPIRE', marks, WEBHOOK_SECONDS) end
return {num_due, claims}

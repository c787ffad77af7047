-- Store what became of claimed webhooks, of each if its claim still holds it.
-- ARGV: queue, then for each job ID, the claim's time as text, kind, seconds, reason; kinds are
--       sent: it is delivered | later: it failed, and is due again in so many seconds |
--       undone: nothing was tried, and it is due again in so many seconds | given_up: it failed
-- Returns for each 1 if the claim held it, 0 if another has claimed it since, or the job has ended
-- once more.
local queue = ARGV[1]
local marks, dead = webhooks_of(queue), dead_webhooks_of(queue)
local MOST_DEAD = 1000  -- the oldest go first
local now, answers = clock(), {}

local function give_up(job_id, event, reason)
  -- Without its attempts, so that it has all of them again if somebody puts it among the due.
  redis.call('HDEL', event, 'attempts')
  redis.call('HSET', event, 'error', reason)
  redis.call('ZREM', marks, job_id)
  redis.call('ZADD', dead, now, job_id)
  redis.call('ZREMRANGEBYRANK', dead, 0, -1 - MOST_DEAD)
  redis.call('EXPIRE', dead, WEBHOOK_SECONDS)
end

local function settle(job_id, score, kind, seconds, reason)
  local event = webhook_of(job_id)
  if tonumber(redis.call('ZSCORE', marks, job_id) or '') ~= tonumber(score) then return 0 end
  if kind == 'sent' then
    redis.call('ZREM', marks, job_id)
    redis.call('ZREM', dead, job_id)
    redis.call('DEL', event)
  elseif kind == 'given_up' then
    give_up(job_id, event, reason)
  else
    if kind == 'later' then
      redis.call('HSET', event, 'error', reason)
    else
      local attempts = tonumber(redis.call('HGET', event, 'attempts') or '') or 1
      redis.call('HSET', event, 'attempts', string.format('%.0f', math.max(attempts - 1, 0)))
    end
    redis.call('ZADD', marks, now + tonumber(seconds), job_id)
  end
  return 1
end

for i = 2, #ARGV, 5 do
  -- Anybody who may end a job may break what stands under its keys: that harms no other's.
  local is_well, answer = pcall(settle, unpack(ARGV, i, i + 4))
  if not is_well then has_worked(answer) end
  answers[#answers + 1] = is_well and answer or 0
end
return answers

-- What all scripts share. Each runs after this text, as one atomic step on the server.
-- RQ 3's layout: a job is the hash rq:job:<id>; who runs it stands in the queue's wip set as
-- <job>:<execution>. Rowmill's own keys begin with rowmill: and are few:
--   rowmill:turns:<queue>       which of the queue's tenants is next, scored by the rows it has had,
--                               each divided by its job's priority
--   rowmill:bell:<queue>        rung when a tenant's job arrives, as workers can wait on a list only
--   rowmill:replies:<name>      IDs of jobs that ended, for who asked for it
--   rowmill:follow-ups:<queue>  jobs that ended and of which RQ has more to do
--   rowmill:stream:<job>        what is told of a job's rows while it runs
--   rowmill:models:<queue>      <worker>:<fingerprint of its model>, scored by when that ends
--   rowmill:cards:<queue>       what each of these workers can run, as JSON
--   rowmill:webhooks:<queue>    jobs that ended and whose webhook is to be sent, scored by when
--   rowmill:webhook:<job>       where it goes and what it tells, whatever becomes of the job itself
--   rowmill:dead-webhooks:<queue>  jobs whose webhook was given up, scored by when

local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1e6
end

local function job_key(job_id) return 'rq:job:' .. job_id end
local function results_of(job_id) return 'rq:results:' .. job_id end
local function stream_of(job_id) return 'rowmill:stream:' .. job_id end
local function list_of(queue) return 'rq:queue:' .. queue end
local function wip_of(queue) return 'rq:wip:' .. queue end
local function follow_ups_of(queue) return 'rowmill:follow-ups:' .. queue end
local function turns_of(base) return 'rowmill:turns:' .. base end
local function bell_of(base) return 'rowmill:bell:' .. base end
local function webhooks_of(base) return 'rowmill:webhooks:' .. base end
local function dead_webhooks_of(base) return 'rowmill:dead-webhooks:' .. base end
local function webhook_of(job_id) return 'rowmill:webhook:' .. job_id end

-- A tenant's jobs stand in a queue of their own, <queue>@<tenant>.
local function base_of(queue) return queue:match('^[^@]*') end

-- A job's life, in the field `life` of its hash: <event>,<time>,<worker>,<execution>,<detail>; and so
-- on, as `job_life.py` reads it. What is too long loses its beginning, and begins with cut,<how many>;
local MOST_LIFE = 3072  -- bytes; about thirty events

-- What the field holds after one more event. `life`: what it holds now; anybody may have written it.
local function lived(life, event, now, worker, execution_id, detail)
  life = life and #life <= MOST_LIFE and life or ''
  local entry = string.format('%s,%.6f,%s,%s,%s;', event, now, worker or '', execution_id or '',
    detail or '')
  if #life + #entry <= MOST_LIFE then return life .. entry end
  local cut = life:match('^cut,(%d+);') or ''
  local num_cut, from = tonumber(#cut < 10 and cut) or 0, cut == '' and 1 or #cut + 6
  while #life - from + 1 + #entry + 16 > MOST_LIFE do
    local last = life:find(';', from, true)
    if not last then break end
    num_cut, from = num_cut + 1, last + 1
  end
  return string.format('cut,%d;', num_cut) .. life:sub(from) .. entry
end

-- Note an event where nothing else of the job changes. A job that is gone stays so, and a server that
-- is out of memory does without.
local function note(job_id, event, ...)
  local fields = redis.pcall('HMGET', job_key(job_id), 'status', 'life')
  if fields.err or not fields[1] then return end
  redis.pcall('HSET', job_key(job_id), 'life', lived(fields[2], event, clock(), ...))
end

-- Whether a tenant or a reply list may be called so; see names.py.
local function is_name(text) return #text <= 128 and text:find('^[%w_.-]+$') end

-- Let a queue take part in the turns. Who comes is next, and brings no credit from before.
local function enter_turns(queue)
  local turns = turns_of(base_of(queue))
  if redis.call('ZSCORE', turns, queue) then return end
  local first = redis.call('ZRANGE', turns, 0, 0, 'WITHSCORES')
  redis.call('ZADD', turns, first[2] or 0, queue)
end

local function enqueue(queue, job_id, push)
  redis.call(push, list_of(queue), job_id)
  if queue:find('@', 1, true) then
    enter_turns(queue)
    local bell = bell_of(base_of(queue))
    if redis.call('EXISTS', bell) == 0 then redis.call('RPUSH', bell, 1) end
  end
end

-- Seconds, as RQ means them: negative is for ever. 0 is not at all, and what follows a job up still
-- needs it for a moment.
local function expire(key, ttl)
  if ttl < 0 then
    redis.call('PERSIST', key)
  else
    redis.call('EXPIRE', key, ttl == 0 and 60 or ttl)
  end
end

-- Take a job out of the registries in which it may stand once it has ended.
local function leave_registries(queue, job_id)
  for _, registry in ipairs({'finished', 'failed', 'canceled'}) do
    redis.call('ZREM', 'rq:' .. registry .. ':' .. queue, job_id)
  end
end

local REPLIES_SECONDS = 7 * 24 * 3600

-- The list on which a job's ID is put when it ends, or nil.
local function reply_list_of(job_id)
  local name = redis.call('HGET', job_key(job_id), 'reply_to')
  if name and is_name(name) then return 'rowmill:replies:' .. name end
end

-- Whether a call under pcall did its work. It has not where its key holds another type, which is the
-- doing, and the loss, of who put it there; what else hinders it is an error.
local function has_worked(answer)
  if type(answer) ~= 'table' or not answer.err then return true end
  if answer.err:find('^WRONGTYPE') then return false end
  error(answer)
end

local function put_reply(list, job_id)
  if has_worked(redis.pcall('RPUSH', list, job_id)) then
    redis.call('EXPIRE', list, REPLIES_SECONDS)
  end
end

local WEBHOOK_SECONDS = 7 * 24 * 3600  -- longer than all attempts take together
local MOST_OF_URL, MOST_OF_REASON = 2048, 8192

-- Note that a job has ended, if it asked for a webhook. status: finished, failed or cancelled;
-- reason: why it failed, as RQ stores it.
local function note_webhook(queue, job_id, status, reason)
  local url, num_samples = unpack(redis.call('HMGET', job_key(job_id), 'webhook_url', 'num_samples'))
  local is_readable = #job_id <= 128 and job_id:find('^[%w_-]+$')
  if not url or #url > MOST_OF_URL or queue == '' or not is_readable then return end
  local base, now = base_of(queue), clock()
  local marks, event = webhooks_of(base), webhook_of(job_id)
  if reason and #reason > MOST_OF_REASON then reason = nil end
  redis.call('DEL', event)  -- of an outcome before this one
  redis.call('HSET', event, 'url', url, 'status', status, 'tenant', queue:sub(#base + 2),
    'num_samples', num_samples or '', 'reason', reason or '', 'ended_at', string.format('%.6f', now))
  redis.call('EXPIRE', event, WEBHOOK_SECONDS)
  if has_worked(redis.pcall('ZADD', marks, now, job_id)) then
    redis.call('EXPIRE', marks, WEBHOOK_SECONDS)
  end
end

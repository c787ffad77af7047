-- A sign of life in a worker's record, by the server's clock. Where the record has no state, as it
-- expired while the process was stopped, it gets one.
-- ARGV: worker
local worker = ARGV[1]
local key = 'rq:worker:' .. worker
if redis.call('EXISTS', key) == 1 then redis.call('HSET', key, 'beat_at', clock()) end
if redis.call('HEXISTS', key, 'state') == 0 then
  set_state(worker, redis.call('EXISTS', executions_of(worker)) == 1 and 'busy' or 'idle')
end

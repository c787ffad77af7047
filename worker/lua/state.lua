-- Give a worker's record a state where it has none, as it expired while the process was stopped.
-- ARGV: worker
local worker = ARGV[1]
if redis.call('HEXISTS', 'rq:worker:' .. worker, 'state') == 0 then
  set_state(worker, redis.call('EXISTS', executions_of(worker)) == 1 and 'busy' or 'idle')
end

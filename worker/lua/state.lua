-- Give a worker's record a state where it has none, as it expired while the process was stopped.
-- ARGV: worker
local record = 'rq:worker:' .. ARGV[1]
if redis.call('HEXISTS', record, 'state') == 0 then
  local is_busy = redis.call('EXISTS', record .. ':executions') == 1
  redis.call('HSET', record, 'state', is_busy and 'busy' or 'idle')
end

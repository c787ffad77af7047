-- Tell producers which model a worker serves, for as long as its record lives.
-- ARGV: worker, the model's fingerprint, seconds, then the worker's queues
-- Records tell more than producers may know, so this stands under a key of its own.
local worker, model, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])
local now = clock()
for i = 4, #ARGV do
  local key = 'rowmill:models:' .. ARGV[i]
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  redis.call('ZADD', key, now + ttl, worker .. ':' .. model)
  redis.call('EXPIRE', key, math.max(ttl, redis.call('TTL', key)))
end

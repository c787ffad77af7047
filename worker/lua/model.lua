-- Tell producers which model a worker serves and what it can run, for as long as its record lives.
-- ARGV: worker, the model's fingerprint, its card, seconds, then the worker's queues
-- Records tell more than producers may know, so this stands under keys of its own.
local worker, model, card, ttl = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local now = clock()
for i = 5, #ARGV do
  local models, cards = 'rowmill:models:' .. ARGV[i], 'rowmill:cards:' .. ARGV[i]
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', models, '-inf', now)) do
    redis.call('HDEL', cards, gone:match('^[^:]*'))
  end
  redis.call('ZREMRANGEBYSCORE', models, '-inf', now)
  redis.call('ZADD', models, now + ttl, worker .. ':' .. model)
  redis.call('HSET', cards, worker, card)
  local longest = math.max(ttl, redis.call('TTL', models))
  redis.call('EXPIRE', models, longest)
  redis.call('EXPIRE', cards, longest)
end

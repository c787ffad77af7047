-- Take from a tenant's quotas, from all or from none: buckets that fill within a minute.
-- ARGV: tenant, then for each quota its name, how much it is per minute, and how much is wanted
-- Returns the name of the quota that is used up and the seconds until there is enough, or nothing.
local MINUTE = 60
local key = 'rowmill:quota:' .. ARGV[1]
local now = clock()
local fields = redis.call('HGETALL', key)
local known = {}
for i = 1, #fields, 2 do known[fields[i]] = tonumber(fields[i + 1]) end
local elapsed = math.max(now - (known.at or 0), 0)
local changes, short, longest = {'at', string.format('%.6f', now)}, nil, 0
for i = 2, #ARGV, 3 do
  local name, size, wanted = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local level = math.min((known[name] or size) + elapsed * size / MINUTE, size)
  local missing = (wanted - level) * MINUTE / size
  if missing > longest then short, longest = name, missing end
  changes[#changes + 1] = name
  changes[#changes + 1] = string.format('%.6f', level - wanted)
end
if short then return {short, string.format('%.3f', longest)} end
redis.call('HSET', key, unpack(changes))
redis.call('EXPIRE', key, MINUTE + 1)  -- it is full again by then
return {}

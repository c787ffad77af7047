-- What waits in queues, their tenants' included.
-- ARGV: how many jobs of a queue to look at, then the queues
-- Returns {time, then for each queue {jobs, rows, when the oldest was created or ''}}.
-- The rows are exact as long as no more jobs wait than are looked at; beyond that they are what a
-- sample, evenly spread, has on average. Who looks at all would hold the server up.
local most_looks = tonumber(ARGV[1])
local MOST_TENANTS, BLOCK = 1000, 8

local function length_of(queue)
  local length = redis.pcall('LLEN', list_of(queue))
  return type(length) == 'number' and length or 0
end

-- As a claim counts it.
local function rows_of(text)
  local rows = #text <= 64 and tonumber(text)
  return rows and rows >= 1 and rows <= 65535 and math.floor(rows) or 1
end

-- Rows of some neighbours in a list, how many they are, and when the first was created.
local function look(queue, first, last)
  local rows, looks, created = 0, 0, nil
  for _, job_id in ipairs(redis.call('LRANGE', list_of(queue), first, last)) do
    local fields = redis.pcall('HMGET', job_key(job_id), 'num_samples', 'created_at')
    rows = rows + (fields.err and 1 or rows_of(fields[1] or '1'))
    looks = looks + 1
    if not created and not fields.err and fields[2] and #fields[2] <= 64 then created = fields[2] end
  end
  return rows, looks, created
end

local function estimate(queue, length, looks)
  if length <= looks then
    local rows, _, created = look(queue, 0, -1)
    return rows, created
  end
  local block = math.min(BLOCK, looks)
  local num_blocks = math.floor(looks / block)
  local rows, seen, oldest = 0, 0, nil
  for i = 0, num_blocks - 1 do
    local first = math.floor(i * length / num_blocks)
    local its_rows, its_looks, created = look(queue, first, first + block - 1)
    rows, seen = rows + its_rows, seen + its_looks
    if i == 0 then oldest = created end
  end
  return math.floor(rows / math.max(seen, 1) * length + 0.5), oldest
end

local function lists_of(base)
  local found = {}
  local tenants = redis.pcall('ZRANGE', turns_of(base), 0, MOST_TENANTS - 1)
  for _, queue in ipairs(tenants.err and {} or tenants) do
    if queue:sub(1, #base + 1) == base .. '@' then found[#found + 1] = queue end
  end
  found[#found + 1] = base
  return found
end

-- Jobs, rows, and when the oldest was created, of a queue and its tenants. Where more of them have
-- jobs than are looked at, each n-th stands for its neighbours.
local function waiting_in(base)
  local lists, num_jobs = {}, 0
  for _, queue in ipairs(lists_of(base)) do
    local length = length_of(queue)
    num_jobs = num_jobs + length
    if length > 0 then lists[#lists + 1] = {queue, length} end
  end
  local looks = num_jobs <= most_looks and most_looks or math.floor(most_looks / #lists)
  local seen, rows, oldest = 0, 0, nil
  for i = 1, #lists, math.max(math.ceil(#lists / most_looks), 1) do
    local queue, length = unpack(lists[i])
    local its_rows, created = estimate(queue, length, math.max(looks, 1))
    seen, rows = seen + length, rows + its_rows
    if created and (not oldest or created < oldest) then oldest = created end
  end
  if seen < num_jobs then rows = math.floor(rows / math.max(seen, 1) * num_jobs + 0.5) end
  return {num_jobs, rows, oldest or ''}
end

local answer = {string.format('%.6f', clock())}
for i = 2, #ARGV do answer[#answer + 1] = waiting_in(ARGV[i]) end
return answer

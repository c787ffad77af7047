-- Ask which commands this user may not run.
-- ARGV: a command and what it works on, then the next
-- Returns the positions of those that are denied; nothing is run.
local denied = {}
for i = 1, #ARGV, 2 do
  local command, target = ARGV[i], ARGV[i + 1]
  -- Commands with two keys want two; the others don't look at what comes after theirs.
  if redis.acl_check_cmd and not redis.acl_check_cmd(command, target, target) then
    denied[#denied + 1] = (i - 1) / 2
  end
end
return denied

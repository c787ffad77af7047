-- Give claims up without an outcome; see the prelude.
-- ARGV: worker, time as text, then queue, job ID and execution ID of each claim
-- Returns how many jobs were still held, and went back.
local worker, now_text = ARGV[1], ARGV[2]
local num_given = 0
for i = #ARGV - 2, 3, -3 do  -- each goes before the last: their order stays
  local is_well, was_ours = attempt(give_back, ARGV[i], worker, ARGV[i + 1], ARGV[i + 2], now_text)
  if is_well and was_ours then num_given = num_given + 1 end
end
rest_if_idle(worker)
return num_given

#!lua flags=no-writes
-- KEYS: rows of slots. Gives for each its version and body, both empty if there is none, or 'unreadable' and why.
local answers = {}
for at = 1, #KEYS do
  local row = redis.pcall('HMGET', KEYS[at], 'version', 'body')
  if row.err then
    answers[at] = {'unreadable', row.err}
  else
    answers[at] = {row[1] or '', row[2] or ''}
  end
end
return answers

local function show(v, depth)
  local t = type(v)
  if t == 'string' then return string.format('%q', v) end
  if t == 'number' then return string.format('%.17g', v) end
  if t == 'table' then
    if depth > 5 then return '{...}' end
    local parts = {}
    for k, x in pairs(v) do parts[#parts + 1] = '[' .. show(k, depth + 1) .. ']=' .. show(x, depth + 1) end
    return '{' .. table.concat(parts, ',') .. '}'
  end
  if t == 'function' or t == 'thread' then return t end
  return tostring(v)
end
local function showall(ok, ...)
  local out = {ok and 'ok' or 'error'}
  for i = 1, select('#', ...) do out[#out + 1] = show((select(i, ...)), 0) end
  return table.concat(out, ' ')
end
return showall(pcall(function(...)

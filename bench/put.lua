-- SPDX-License-Identifier: Apache-2.0
-- wrk: PUT of new names, all different.
--     wrk -s bench/put.lua URL -- SIZE PREFIX [PATH [QUERY]]
local n, size, prefix, path, query = 0
local body, head

function init(args)
    size, prefix, path, query = tonumber(args[1]), args[2], args[3] or "/", args[4] or ""
    local t = {}
    math.randomseed(1)
    for i = 1, 1024 do t[i] = string.char(math.random(0, 255)) end
    body = string.rep(table.concat(t), size / 1024)
end

function request()
    n = n + 1
    return wrk.format("PUT", path .. prefix .. n .. query, nil, body)
end

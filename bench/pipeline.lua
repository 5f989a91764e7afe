-- SPDX-License-Identifier: Apache-2.0
-- wrk: DEPTH requests of the same URL at a time on each connection.
--     wrk -s bench/pipeline.lua URL -- DEPTH
local block

function init(args)
    local depth, one = tonumber(args[1] or "16"), wrk.format()
    local t = {}
    for i = 1, depth do t[i] = one end
    block = table.concat(t)
end

function request()
    return block
end

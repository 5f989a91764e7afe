#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The store under kill -9, in both modes, and with an index that gets lost. AIS_TORTURE_SECONDS (30) for all of it; AIS_TORTURE_SEED
# repeats a run. AIS_TORTURE_PORT: first port (21080).
set -uo pipefail
cd "$(dirname "$0")/../.."
seconds=${AIS_TORTURE_SECONDS:-30} seed=${AIS_TORTURE_SEED:-$((RANDOM * 32768 + RANDOM))} port=${AIS_TORTURE_PORT:-21080}
dir=$(mktemp -d /tmp/ais-torture.XXXXXX)
end() {
    scripts/cluster.sh kill --dir "$dir/c" >/dev/null 2>&1
    rm -rf "$dir"
}
trap end EXIT
echo "# seed $seed"
bad=0
run() { # NAME SHARE OPTION...
    local name=$1 t
    t=$((seconds * $2 / 10))
    shift 2
    if tests/torture/store_torture.py --dir "$dir/c" --port "$port" --seed "$seed" --seconds "$t" "$@" >"$dir/log" 2>&1; then
        sed 's/^/# /' "$dir/log"
        echo "ok $name"
    else
        sed 's/^/# /' "$dir/log"
        for f in "$dir"/c/*/stderr; do
            grep -hE '^E |assert|Sanitizer' "$f" | tail -n 5 | sed "s|^|# ${f#"$dir"/c/}: |"
        done
        echo "not ok $name: seed $seed"
        bad=1
        if [ -n "${AIS_TORTURE_KEEP:-}" ]; then
            scripts/cluster.sh kill --dir "$dir/c" >/dev/null 2>&1
            cp -a "$dir" "$AIS_TORTURE_KEEP/"
        fi
    fi
    scripts/cluster.sh kill --dir "$dir/c" >/dev/null 2>&1
    rm -rf "$dir/c"
}
run store-kill-fast 4
run store-kill-durable 3 --durable
run store-kill-lost-index 3 --lose-index
exit $bad

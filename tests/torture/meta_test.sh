#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# kill -9 of the primary, and of targets, between any two steps of a change of buckets: a single proxy that comes back, and one of three, whose
# successor finishes the change. Needs fail points: build-asan, or AIS_FP_BUILD.
# AIS_TORTURE_PORT: first port (21180).
set -uo pipefail
cd "$(dirname "$0")/../.."
export AIS_BUILD=${AIS_FP_BUILD:-$PWD/build-asan} ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=0}
[ -x "$AIS_BUILD/bin/aisnode" ] || { echo "skip meta-kill: no build with fail points in $AIS_BUILD"; exit 77; }
port=${AIS_TORTURE_PORT:-21180}
dir=$(mktemp -d /tmp/ais-meta.XXXXXX)
end() {
    scripts/cluster.sh kill --dir "$dir/c" >/dev/null 2>&1
    rm -rf "$dir"
}
trap end EXIT
rc=0
if [ $# -gt 0 ]; then
    tests/torture/meta_kill.py --dir "$dir/c" --port "$port" "$@" 2>&1 || rc=1
else
    tests/torture/meta_kill.py --dir "$dir/c" --port "$port" 2>&1 || rc=1
    scripts/cluster.sh clean --dir "$dir/c" >/dev/null 2>&1
    tests/torture/meta_kill.py --dir "$dir/c" --port "$port" --proxies 3 --only primary 2>&1 | sed 's/primary-/successor-/'
    [ "${PIPESTATUS[0]}" = 0 ] || rc=1
fi
if grep -lE 'ERROR: AddressSanitizer|runtime error|LeakSanitizer|assertion' "$dir"/c/*/stderr 2>/dev/null; then
    grep -hE 'ERROR: AddressSanitizer|runtime error|assertion' "$dir"/c/*/stderr | head -5 | sed 's/^/# /'
    echo "not ok meta-kill-sanitizers: see above"
    rc=1
fi
exit $rc

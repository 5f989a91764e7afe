#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Networks cut in every shape (partition.py). --minutes M or AIS_TORTURE_SECONDS (45); AIS_TORTURE_SEED repeats the choices of a run.
# Needs root and network namespaces.
set -uo pipefail
cd "$(dirname "$0")/../.."
seconds=${AIS_TORTURE_SECONDS:-45} seed=${AIS_TORTURE_SEED:-$((RANDOM * 32768 + RANDOM))}
while [ $# -gt 0 ]; do
    case $1 in
    --minutes) seconds=$(($2 * 60)); shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    *) echo "usage: $0 [--minutes M | --seconds S] [--seed N]" >&2; exit 2 ;;
    esac
done
node=${AIS_BUILD:-$PWD/build}/bin/aisnode
[ -x "$node" ] || { echo "skip partition: $node is missing"; exit 77; }
prefix=aisp$$-
dir=$(mktemp -d /tmp/ais-partition.XXXXXX)
spaces=("${prefix}sw" "${prefix}cl")
for i in 0 1 2 3 4 5; do spaces+=("$prefix$i"); done
end() {
    local n p
    for n in "${spaces[@]}"; do
        for p in $(ip netns pids "$n" 2>/dev/null); do kill -9 "$p" 2>/dev/null; done
        ip netns del "$n" 2>/dev/null
    done
    rm -rf "$dir"
}
trap end EXIT
wire() { # NAMESPACE ADDRESS: a cable from the switch
    ip -n "${prefix}sw" link add "p$2" type veth peer name eth0 netns "$1" && ip -n "${prefix}sw" link set "p$2" master sw up &&
        ip -n "$1" addr add "10.77.0.$2/24" dev eth0 && ip -n "$1" link set eth0 up && ip -n "$1" link set lo up
}
build_net() {
    local n
    for n in "${spaces[@]}"; do ip netns add "$n" || return 1; done
    ip -n "${prefix}sw" link add sw type bridge && ip -n "${prefix}sw" link set sw up || return 1
    wire "${prefix}cl" 100 || return 1
    for n in 0 1 2 3 4 5; do wire "$prefix$n" $((10 + n)) || return 1; done
}
if ! build_net >"$dir/net" 2>&1; then
    echo "skip partition: network namespaces cannot be made: $(head -1 "$dir/net")"
    exit 77
fi
echo "# seed $seed, $seconds s"
ip netns exec "${prefix}cl" tests/torture/partition.py --dir "$dir" --prefix "$prefix" --node "$node" --seed "$seed" --seconds "$seconds"
rc=$?
[ $rc = 0 ] || grep -hE '^[WE] ' "$dir"/*/log/*.log "$dir"/*/stderr 2>/dev/null | sort | tail -n 40 | sed 's/^/# /'
[ $rc = 0 ] || [ -z "${AIS_TORTURE_KEEP:-}" ] || cp -a "$dir" "$AIS_TORTURE_KEEP/"
exit $rc

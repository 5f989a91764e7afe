#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Scenarios on the wire: varnishtest files, one behaviour each, against real processes.
#
#   tests/e2e/vtc/run.sh [FILE...]      all files beside this script when none is named
#
# All files share one cluster of one proxy and one target, started here on free ports and in a temporary folder. A file that needs
# another one says so in a line of its header,
#
#   # cluster: own [NAME=VALUE...] [options of cluster.sh start...]
#
# where NAME=VALUE goes into the nodes' environment. Files see these macros:
#
#   ${proxy} ${proxy_control} ${target} ${target_control} ${target_data}    addresses
#   ${bck}    a bucket of the file's own, made before it runs
#   ${via}    a query that marks a request as redirected by a proxy: a target wants it where data changes
#
# Prints "ok NAME", "not ok NAME: why" or "skip NAME: why" for each file, and "not ok" when a node ended or wrote to standard error.
# AIS_BUILD chooses the programs, AIS_VTC_PORT the first port.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cluster_sh=$here/../../../scripts/cluster.sh
command -v varnishtest >/dev/null || { echo "varnishtest is not installed: scripts/deps.sh test"; exit 77; }

tmp=$(mktemp -d /tmp/ais-vtc.XXXXXX)
failed=0
shared=
trap 'stop_all; rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM

bad() { # NAME WHY [LOG]
    failed=1
    printf 'not ok %s: %s\n' "$1" "$2"
    [ -z "${3:-}" ] || tail -n 60 "$3" | sed 's/^/    | /'
}

free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The first of ports for four nodes on three networks.
free_port() {
    local p=${AIS_VTC_PORT:-$((10200 + RANDOM % 700))} i n
    for (( ; p < 60000; p += 8)); do
        for n in 0 1000 2000; do
            for i in 0 1 2 3; do free $((p + n + i)) || continue 3; done
        done
        echo "$p"
        return
    done
    return 1
}

# start DIR [NAME=VALUE...] [OPTIONS...]; the port is in DIR/port
start() {
    local dir=$1 p env=()
    shift
    while [[ ${1:-} =~ ^[A-Z_]+= ]]; do env+=("$1"); shift; done
    p=$(free_port) || return 1
    mkdir -p "$dir"
    env "${env[@]}" "$cluster_sh" start --dir "$dir" --port "$p" --proxies 1 --targets 1 --mountpaths 2 "$@" >"$dir.log" 2>&1 || return 1
    echo "$p" >"$dir/port"
}

# What a cluster leaves behind: nodes that end in order, silently.
stop() { # DIR NAME
    local dir=$1 name=$2 f
    [ -d "$dir" ] || return 0
    "$cluster_sh" stop --dir "$dir" >>"$dir.log" 2>&1 || bad "$name" "the cluster does not stop" "$dir.log"
    for f in "$dir"/[0-9]*/stderr; do
        [ ! -s "$f" ] || bad "$name" "node $(basename "$(dirname "$f")") wrote to standard error" "$f"
    done
    rm -rf "$dir"
}

stop_all() {
    local d
    for d in "$tmp"/*/; do
        [ ! -f "$d/cluster.conf" ] || "$cluster_sh" kill --dir "${d%/}" >/dev/null 2>&1
    done
}

# The line that explains a failure best.
why() {
    grep -m1 -E 'EXPECT .*failed|Expected |expect_close|HTTP rx|Cannot|too long|timed out|^----' "$1" | sed -E 's/^[-*# ]+[a-z0-9]+ +//' | head -c 300
}

one() { # FILE
    local file=$1 name dir words p bck log rc
    name=$(basename "$file" .vtc)
    log=$tmp/$name.log
    words=$(sed -n 's/^# cluster: own *//p;T;q' "$file")
    if grep -q '^# cluster: own' "$file"; then
        dir=$tmp/own-$name
        # shellcheck disable=SC2086
        start "$dir" $words || { bad "$name" "no cluster" "$dir.log"; return; }
    else
        [ -n "$shared" ] || { shared=$tmp/shared; start "$shared" || { bad "$name" "no cluster" "$shared.log"; exit 1; }; }
        dir=$shared
    fi
    p=$(<"$dir/port")
    bck=vtc-$name
    curl -fsS -o /dev/null -H 'Content-Type: application/json' -d '{"action":"create-bck"}' "http://127.0.0.1:$p/v1/buckets/$bck" 2>"$log" ||
        { bad "$name" "cannot make the bucket" "$log"; return; }
    TMPDIR=$tmp timeout -k 5 100 varnishtest -t 90 -D proxy="127.0.0.1:$p" -D proxy_control="127.0.0.1:$((p + 1000))" \
        -D target="127.0.0.1:$((p + 1))" -D target_control="127.0.0.1:$((p + 1001))" -D target_data="127.0.0.1:$((p + 2001))" \
        -D bck="$bck" -D via="pid=p&utm=1" -D dir="$dir" "$file" >"$log" 2>&1
    rc=$?
    case $rc in
    0) ;;
    77) echo "skip $name: $(grep -m1 -i skip "$log")" ;;
    *) bad "$name" "$(why "$log")" "$log" ;;
    esac
    "$cluster_sh" status --dir "$dir" >"$dir.status" 2>&1 || { bad "$name" "not all nodes are ready afterwards" "$dir.status"; rc=1; }
    [ "$dir" = "$shared" ] || stop "$dir" "$name"
    [ "$rc" != 0 ] || echo "ok $name"
}

[ $# -gt 0 ] || set -- "$here"/*.vtc
for f in "$@"; do
    one "$f"
done
[ -z "$shared" ] || stop "$shared" nodes_keep_quiet
exit "$failed"

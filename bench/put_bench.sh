#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# PUT against its floor: CPU time of a target per object, beside that of the bare work on the same file system in the same run.
#
#     bench/put_bench.sh [--seconds S] [--rounds N] [--port P] [--dir D]
#
#   4 KiB, fast mode    against create + write + fsetxattr + rename          (wanted: at most 1.3x)
#   1 MiB, fast mode    against receiving, hashing and writing the bytes     (wanted: at most 1.25x)
#   4 KiB, durable      for orientation: objects a second
#
# One target with one mountpath on core 0, like the floors (bench/fswork.c); the load (wrk) on core 1. CPU time is the process's own
# (schedstat of its threads, ended ones included), what it causes in kernel threads is counted for neither. Measurements take turns.
# A JSON object per row goes to put_bench.json in the current directory.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
secs=2 rounds=3 port=26080 dir=
while [ $# -gt 0 ]; do
    case $1 in
    --seconds) secs=$2; shift ;;
    --rounds) rounds=$2; shift ;;
    --port) port=$2; shift ;;
    --dir) dir=$2; shift ;;
    -h | --help) sed -n '4,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "put_bench.sh: unknown argument \"$1\"" >&2; exit 2 ;;
    esac
    shift
done
for tool in wrk taskset curl; do
    command -v $tool >/dev/null || { echo "$tool is missing: skipped"; exit 0; }
done
cmake --preset release >/dev/null
cmake --build --preset release --target aisnode bench_fswork -- -j2 >/dev/null || { echo "put_bench.sh: the build failed" >&2; exit 1; }

tmp=$(mktemp -d) out=$here/put_bench.json sink_pid=
: "${dir:=$tmp}"
mkdir -p "$dir"
cluster() { taskset -c 0 scripts/cluster.sh "$@" --dir "$dir/c" --port "$port" --proxies 1 --targets 1 --mountpaths 1 >/dev/null; }
cleanup() {
    [ -z "$sink_pid" ] || kill "$sink_pid" 2>/dev/null || true
    cluster clean || true
    rm -rf "$tmp" "$dir/sink" "$dir/floor"*
}
trap cleanup EXIT

: >"$out"
cluster start
url=http://127.0.0.1:$port/v1
for b in fast durable; do
    curl -sS -X POST -H 'Content-Type: application/json' -d '{"action":"create-bck"}' "$url/buckets/$b"
done
curl -sS -X PATCH -H 'Content-Type: application/json' -d '{"action":"set-bprops","value":{"features":"16"}}' "$url/buckets/durable" >/dev/null
target=$(cat "$dir/c/1/pid")
# Where the proxy sends a PUT, and with which query.
where=$(curl -sS -o /dev/null -w '%{redirect_url}' -X PUT "$url/objects/fast/x?provider=ais")
host=${where#http://} host=${host%%/*} query=?${where#*\?}
taskset -c 0 build/bin/bench_fswork sink $((port + 50)) "$dir/sink" & sink_pid=$!

cpu_ns() { awk '{ s = ($14 + $15) * 10000000 } END { printf "%.0f\n", s }' "/proc/$1/stat"; }
precise_ns() { cat /proc/"$1"/task/*/schedstat | awk '{ s += $1 } END { printf "%.0f\n", s }'; }

# load PID CLOCK CONNS URL SIZE PREFIX PATH QUERY -> "objects cpu_ns"
load() {
    local before n after
    before=$($2 "$1")
    n=$(taskset -c 1 wrk -t1 -c"$3" -d"${secs}s" --timeout 30s -s bench/put.lua "$4" -- "${@:5}" |
        awk '/requests in/ { n = $1 } /Non-2xx|Socket errors/ { print > "/dev/stderr" } END { print n + 0 }')
    after=$($2 "$1")
    echo "$n $((after - before))"
}
row() { # NAME objects cpu floor_ns
    awk -v name="$1" -v n="$2" -v c="$3" -v f="$4" -v out="$out" 'BEGIN {
        printf "%-18s %12.1f %12.1f %8.2fx %12d\n", name, c / n / 1e3, f / 1e3, c / n / f, n
        printf "{\"bench\":\"put\",\"what\":\"%s\",\"us\":%.2f,\"floor_us\":%.2f,\"ratio\":%.3f}\n", name, c / n / 1e3, f / 1e3, c / n / f >>out
    }'
}

# The floor with core 1 as busy as it is under load: on many machines the two cores are one core's two threads.
floor() {
    local busy
    taskset -c 1 sh -c 'while :; do :; done' & busy=$!
    taskset -c 0 build/bin/bench_fswork files "$1" 4096 160 20000
    kill $busy
    wait $busy 2>/dev/null || true
}

printf '%-18s %12s %12s %9s %12s\n' what "us/object" "floor us" ratio objects
n=0 c=0 f=0
for i in $(seq "$rounds"); do
    f=$((f + $(floor "$dir/floor$i")))
    read -r k t < <(load "$target" precise_ns 64 "http://$host" 4096 "r$i-" /v1/objects/fast/ "$query")
    n=$((n + k)) c=$((c + t))
    rm -rf "$dir/floor$i"
done
row "4KiB fast" $n $c $((f / rounds))
n=0 c=0 fn=0 fc=0
for i in $(seq "$rounds"); do
    # Threads of connections end with them: the sink's clock is the process's, in ticks.
    read -r k t < <(load "$sink_pid" cpu_ns 8 "http://127.0.0.1:$((port + 50))" 1048576 "r$i-" /)
    fn=$((fn + k)) fc=$((fc + t))
    read -r k t < <(load "$target" precise_ns 8 "http://$host" 1048576 "m$i-" /v1/objects/fast/ "$query")
    n=$((n + k)) c=$((c + t))
    rm -rf "$dir/sink"/*
    curl -sS -X DELETE -H 'Content-Type: application/json' -d '{"action":"destroy-bck"}' "$url/buckets/fast" >/dev/null
    curl -sS -X POST -H 'Content-Type: application/json' -d '{"action":"create-bck"}' "$url/buckets/fast"
done
row "1MiB fast" $n $c $((fc / fn))
read -r k t < <(load "$target" precise_ns 64 "http://$host" 4096 d- /v1/objects/durable/ "$query")
awk -v k="$k" -v t="$t" -v s="$secs" 'BEGIN { printf "%-18s %12.1f %12s %9s %12d   %.0f/s\n", "4KiB durable", t / k / 1e3, "", "", k, k / s }'

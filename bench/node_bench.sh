#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A real 1+3 cluster: what a request, a byte, a listed name costs a node in CPU time, what a node needs at rest, how fast it starts.
#
#     bench/node_bench.sh [options] [section...]        sections: get redirect list idle start destroy small (all)
#
#       --seconds S   of load per measurement (2)       --rounds N   turns, their sums are compared (3)
#       --objects N   of the large bucket (100000)      --port P     first of the cluster's ports (27080); the helpers use P+50 and P+51
#       --dir D       where the cluster keeps its data; must not exist (a temporary folder)
#
# All nodes, nginx and the floor (bench/floor.c) run on core 0, the load on core 1. CPU time is that of the process under test alone
# (/proc/PID/stat), and what is compared takes turns, so that other load on the machine falls on all alike: look at the
# ratios. Tables go to standard output, a JSON object per row to node_bench.json in the current directory.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
root=$PWD secs=2 rounds=3 objects=100000 port=27080 dir= sections=()
while [ $# -gt 0 ]; do
    case $1 in
    --seconds) secs=$2; shift ;;
    --rounds) rounds=$2; shift ;;
    --objects) objects=$2; shift ;;
    --port) port=$2; shift ;;
    --dir) dir=$2; shift ;;
    -h | --help) sed -n '4,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    get | redirect | list | idle | start | destroy | small) sections+=("$1") ;;
    *) echo "node_bench.sh: unknown argument \"$1\" (see --help)" >&2; exit 2 ;;
    esac
    shift
done
[ ${#sections[@]} -gt 0 ] || sections=(start idle get redirect list destroy small)
for tool in nginx wrk taskset curl python3; do
    command -v $tool >/dev/null || { echo "$tool is missing: skipped"; exit 0; }
done
cmake --preset release >/dev/null
cmake --build --preset release --target aisnode ais bench_floor -- -j2 >/dev/null

tmp=$(mktemp -d) pids=() out=$here/node_bench.json
: "${dir:=$tmp/cluster}"
[ ! -e "$dir" ] || { echo "node_bench.sh: $dir exists" >&2; exit 2; }
: >"$out"
aux_nginx=$((port + 50)) aux_floor=$((port + 51))
ais=$root/build/bin/ais
export AIS_ENDPOINT=http://127.0.0.1:$port

cluster() { taskset -c 0 "$root/scripts/cluster.sh" "$@" --dir "$dir" --port "$port" --targets 3 >/dev/null; }
cleanup() {
    for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
    [ ! -f "$dir/cluster.conf" ] || cluster clean || true
    rm -rf "$tmp"
}
trap cleanup EXIT

pid_of() { cat "$dir/$1/pid"; }
all_pids() { cat "$dir"/*/pid | paste -sd,; }
# CPU time of processes, threads that ended included; in steps of 10 ms.
cpu_ns() { local p; for p in "$@"; do cat "/proc/$p/stat"; done | awk '{ sub(/.*\) /, ""); s += $12 + $13 } END { printf "%.0f\n", s * 1e7 }'; }
# The same of each living thread, exactly: "TID NS" a line.
thread_ns() { local t; for t in /proc/"$1"/task/*; do echo "${t##*/} $(cut -d' ' -f1 "$t/schedstat" 2>/dev/null)"; done; }
anon_kib() { awk '/^RssAnon/ { print $2 }' "/proc/$1/status"; }
now_ms() { date +%s%3N; }
json() { echo "$1" >>"$out"; }
calc() { awk "BEGIN { printf \"$1\", $2 }"; }
await_port() { for _ in $(seq 200); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; read -rt 0.05 <> <(:) || true; done; }
load() { taskset -c 1 python3 "$root/bench/node_load.py" "$@"; }

# Waits until the nodes have nothing left to do: after a change of buckets or a fill they write behind.
settle() {
    local before after
    for _ in $(seq 40); do
        before=$(cpu_ns $(cat "$dir"/*/pid)); read -rt 0.5 <> <(:) || true; after=$(cpu_ns $(cat "$dir"/*/pid))
        [ $((after - before)) -gt 20000000 ] || return 0
    done
}

# turn PID CONNS URL [wrk options] -> "requests cpu_ns"
turn() {
    local pid=$1 conns=$2 url=$3 before n after
    shift 3
    before=$(cpu_ns "$pid")
    n=$(taskset -c 1 wrk -t1 -c"$conns" -d"${secs}s" --timeout 30s "${@:2}" "$url" ${1:+-- "$1"} |
        awk '/requests in/ { n = $1 } /Socket errors/ { print > "/dev/stderr" } END { print n + 0 }')
    after=$(cpu_ns "$pid")
    echo "$n $((after - before))"
}

# --- GET ---
nginx_start() {
    cat >"$tmp/nginx.conf" <<CONF
daemon off; master_process off; worker_processes 1; pid $tmp/nginx.pid; error_log $tmp/error.log;
events { worker_connections 1024; use epoll; }
http {
    access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000; default_type application/octet-stream;
    open_file_cache max=100 inactive=600s; open_file_cache_valid 600s;
    client_body_temp_path $tmp/b; proxy_temp_path $tmp/p; fastcgi_temp_path $tmp/c; uwsgi_temp_path $tmp/u; scgi_temp_path $tmp/s;
    server { listen 127.0.0.1:$aux_nginx; root $tmp; }
}
CONF
    taskset -c 0 nginx -c "$tmp/nginx.conf" & pids+=($!); nginx_pid=$!
    await_port "$aux_nginx"
}

# floor_start ANSWER [FILE]: the bare loop -> $floor_pid
floor_start() {
    taskset -c 0 "$root/build/bin/bench_floor" "$aux_floor" "$@" & pids+=($!); floor_pid=$!
    await_port "$aux_floor"
}

# Where the proxy sends a GET of an object.
location() { curl -s -o /dev/null -D- "$AIS_ENDPOINT/v1/objects/bench/$1" | awk 'tolower($1) == "location:" { print $2 }' | tr -d '\r'; }

get_rows() {
    local disk=$1 f conns size url node nn nc an ac bn bc n c
    for f in 4k 1m 16m; do
        conns=64; [ $f != 16m ] || conns=8
        size=$(stat -c %s "$tmp/f/$f") nn=0 nc=0 an=0 ac=0 bn=0 bc=0
        url=$(location $f)
        node=${url#http://127.0.0.1:}; node=$((${node%%/*} - port))
        curl -s -I "$url" | sed "s/^Content-Length: .*/Content-Length: $size\r/I" >"$tmp/head"
        floor_start "$tmp/head" "$tmp/f/$f"
        for _ in $(seq "$rounds"); do
            read -r n c < <(turn "$nginx_pid" $conns "http://127.0.0.1:$aux_nginx/f/$f"); nn=$((nn + n)) nc=$((nc + c))
            read -r n c < <(turn "$(pid_of $node)" $conns "$url"); an=$((an + n)) ac=$((ac + c))
            read -r n c < <(turn $floor_pid $conns "http://127.0.0.1:$aux_floor/$f"); bn=$((bn + n)) bc=$((bc + c))
        done
        kill $floor_pid; wait $floor_pid 2>/dev/null || true
        awk -v d="$disk" -v f=$f -v s="$size" -v nn=$nn -v nc=$nc -v an=$an -v ac=$ac -v bn=$bn -v bc=$bc -v out="$out" 'BEGIN {
            tn = nc / nn / 1e3; ta = ac / an / 1e3; tb = bc / bn / 1e3
            printf "%-8s %-5s %10.2f %10.2f %10.2f %10.0f %7.2fx %10.2fx\n", d, f, tn, ta, tb, s / ta, tn / ta, tn / tb
            printf "{\"bench\":\"get\",\"disk\":\"%s\",\"size\":%d,\"nginx_us\":%.3f,\"ours_us\":%.3f,\"floor_us\":%.3f,\"ratio\":%.3f}\n",
                d, s, tn, ta, tb, tn / ta >>out
        }'
    done
}

bench_get() {
    local f disk
    mkdir "$tmp/f"
    for f in 4k 1m 16m; do dd if=/dev/urandom of="$tmp/f/$f" bs=${f^^} count=1 iflag=fullblock status=none; done # in large pieces, as a PUT writes
    nginx_start
    echo; echo "GET, hot, keep-alive, at a target (64 connections; 16m: 8)"
    printf '%-8s %-5s %10s %10s %10s %10s %8s %11s\n' disk size "nginx us" "ours us" "bare us" "ours MB/cs" "ours" "bare"
    for disk in uring threads; do
        cluster stop
        AIS_DISK=$disk cluster start
        for f in 4k 1m 16m; do "$ais" object put "$tmp/f/$f" ais://bench/$f >/dev/null; done
        settle
        get_rows $disk
    done
}

# --- redirects ---
bench_redirect() {
    local fn=0 fc=0 an=0 ac=0 pn=0 pc=0 n c url=$AIS_ENDPOINT/v1/objects/bench/4k pid
    pid=$(pid_of 0)
    curl -s -D- "$url" >"$tmp/answer"
    floor_start "$tmp/answer"
    for _ in $(seq "$rounds"); do
        read -r n c < <(turn $floor_pid 64 "http://127.0.0.1:$aux_floor/v1/objects/bench/4k"); fn=$((fn + n)) fc=$((fc + c))
        read -r n c < <(turn "$pid" 64 "$url"); an=$((an + n)) ac=$((ac + c))
        read -r n c < <(turn "$pid" 64 "$url" 16 -s "$root/bench/pipeline.lua"); pn=$((pn + n)) pc=$((pc + c))
    done
    kill $floor_pid; wait $floor_pid 2>/dev/null || true
    echo; echo "Redirects of GET at the proxy (64 connections)"
    awk -v fn=$fn -v fc=$fc -v an=$an -v ac=$ac -v pn=$pn -v pc=$pc -v out="$out" 'BEGIN {
        printf "%-44s %10s %12s\n", "", "us/req", "req/cs"
        printf "%-44s %10.2f %12.0f\n", "bare epoll loop: recv, send, nothing else", fc / fn / 1e3, fn / fc * 1e9
        printf "%-44s %10.2f %12.0f   %.2f of the bare loop\n", "proxy", ac / an / 1e3, an / ac * 1e9, (an / ac) / (fn / fc)
        printf "%-44s %10.2f %12.0f\n", "proxy, 16 requests pipelined", pc / pn / 1e3, pn / pc * 1e9
        printf "{\"bench\":\"redirect\",\"floor_us\":%.3f,\"ours_us\":%.3f,\"of_floor\":%.3f,\"pipelined_us\":%.3f}\n",
            fc / fn / 1e3, ac / an / 1e3, (an / ac) / (fn / fc), pc / pn / 1e3 >>out
    }'
}

# --- the large bucket ---
fill_large() {
    [ ! -e "$tmp/filled" ] || return 0
    "$ais" bucket create ais://large >/dev/null
    load fill "$port" large "$objects" 64
    touch "$tmp/filled"
    settle
}

bench_list() {
    local form
    fill_large
    echo; echo "List $objects objects, props name,size, pages of 10000 (CPU of the proxy and all targets)"
    printf '%-9s %14s %16s %16s\n' form "entries/cs" "first page us" "later pages us"
    for form in msgpack json; do
        load list "$port" large 10000 $form "$(all_pids)" >/dev/null # the first listing opens the index
        for _ in $(seq "$rounds"); do load list "$port" large 10000 $form "$(all_pids)" | nl -b a; done >"$tmp/pages"
        awk -v f=$form -v want="$objects" -v rounds="$rounds" -v out="$out" '
            { n += $2; c += $3 }
            $1 == 1 { first += $3; firsts++ }
            $1 > 1 && $2 == 10000 { later += $3; laters++ }
            END {
                if (n != want * rounds) { printf "listed %d of %d names\n", n, want * rounds; exit 1 }
                printf "%-9s %14.0f %16.0f %16.0f\n", f, n / c * 1e9, first / firsts / 1e3, later / laters / 1e3
                printf "{\"bench\":\"list\",\"form\":\"%s\",\"entries_per_cs\":%.0f,\"first_us\":%.0f,\"later_us\":%.0f}\n",
                    f, n / c * 1e9, first / firsts / 1e3, later / laters / 1e3 >>out
            }' "$tmp/pages"
    done
}

used_kib() { du -sk "$dir/data" 2>/dev/null | cut -f1 || true; } # files vanish under it

# What the file system itself takes to remove such files: 10000 of them, as an object lies on the disk.
rm_floor() {
    local n=10000 t0 d=$dir/data/rm_floor
    python3 -c 'import os, sys
os.mkdir(sys.argv[1])
for i in range(int(sys.argv[2])):
    fd = os.open("%s/%07d" % (sys.argv[1], i), os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"x" * 64)
    os.setxattr(fd, "user.ais.lom", b"x" * 86)
    os.setxattr(fd, "user.ais.c", b"x" * 32)
    os.close(fd)' "$d" $n
    sync -f "$d"
    t0=$(now_ms)
    taskset -c 0 rm -rf "$d"
    echo "rm -rf of $n files like these on the same file system: $(($(now_ms) - t0)) ms"
}

bench_destroy() {
    local kib t0 t1 t2 cpu0 cpu1
    fill_large
    kib=$(used_kib) cpu0=$(cpu_ns $(cat "$dir"/*/pid)) t0=$(now_ms)
    "$ais" bucket rm -y ais://large >/dev/null
    t1=$(now_ms)
    while [ "$(find "$dir/data" -type f -name '0*' 2>/dev/null | head -n 1 | wc -l)" != 0 ] && [ $(($(now_ms) - t0)) -lt 120000 ]; do
        read -rt 0.2 <> <(:) || true
    done
    t2=$(now_ms) cpu1=$(cpu_ns $(cat "$dir"/*/pid))
    rm -f "$tmp/filled"
    echo; echo "Destroy a bucket of $objects objects"
    echo "answered after $((t1 - t0)) ms, last file gone after $((t2 - t0)) ms, CPU $(((cpu1 - cpu0) / 1000000)) ms, $((kib - $(used_kib))) KiB freed"
    rm_floor
    json "{\"bench\":\"destroy\",\"objects\":$objects,\"answer_ms\":$((t1 - t0)),\"gone_ms\":$((t2 - t0)),\"cpu_ms\":$(((cpu1 - cpu0) / 1000000))}"
}

# --- at rest ---
bench_idle() {
    local i pid pct
    echo; echo "At rest, right after the start (10 s)"
    printf '%-8s %14s %14s\n' node "RssAnon KiB" "CPU %"
    settle
    for i in 0 1 2 3; do
        pid=$(pid_of $i)
        thread_ns "$pid" >"$tmp/before"; read -rt 10 <> <(:) || true; thread_ns "$pid" >"$tmp/after"
        pct=$(awk 'NR == FNR { was[$1] = $2; next } { s += $2 - was[$1] } END { printf "%.4f", s / 1e8 }' "$tmp/before" "$tmp/after")
        printf '%-8s %14d %14s\n' "$([ $i = 0 ] && echo proxy || echo target)" "$(anon_kib "$pid")" "$pct"
        json "{\"bench\":\"idle\",\"node\":$i,\"anon_kib\":$(anon_kib "$pid"),\"cpu_pct\":$pct}"
    done
    idle_conns
}

after_load() {
    local i
    echo; echo "RssAnon after all of this, KiB"
    for i in 0 1 2 3; do
        printf '%-8s %14d\n' "$([ $i = 0 ] && echo proxy || echo target)" "$(anon_kib "$(pid_of $i)")"
        json "{\"bench\":\"after_load\",\"node\":$i,\"anon_kib\":$(anon_kib "$(pid_of $i)")}"
    done
}

# Connections at rest cost their socket, nothing else: from the first ones, which fill the pools, to the last.
idle_conns() {
    local pid few many n
    pid=$(pid_of 0)
    for n in 100 1000; do
        coproc HOLD { load keepalive "$port" /v1/health $n; }
        read -r _ <&"${HOLD[0]}"
        [ $n = 100 ] && few=$(anon_kib "$pid") || many=$(anon_kib "$pid")
        eval "exec ${HOLD[1]}>&-"
        wait "$HOLD_PID" || true
    done
    echo "a connection at rest: $(calc %.0f "($many - $few) * 1024 / 900") bytes"
    json "{\"bench\":\"idle_conn\",\"bytes\":$(calc %.0f "($many - $few) * 1024 / 900")}"
}

bench_start() {
    local t0 t1 best=999999 _
    cluster stop
    for _ in $(seq "$rounds"); do
        t0=$(now_ms); cluster start; t1=$(now_ms); cluster stop
        [ $((t1 - t0)) -ge $best ] || best=$((t1 - t0))
    done
    cluster start
    echo; echo "Start to ready, 1+3 on one core: $best ms (best of $rounds, the script's own time included)"
    json "{\"bench\":\"start\",\"ms\":$best}"
}

# --- a tree of small files through the proxy ---
bench_small() {
    local before after t0 t1 n=12000 d=$tmp/tree i names=(proxy target target target) c0=()
    mkdir -p "$d"
    python3 -c 'import sys, os
for i in range(int(sys.argv[2])):
    p = "%s/%02d" % (sys.argv[1], i % 40)
    i >= 40 or os.mkdir(p)
    open("%s/%05d" % (p, i), "wb").write(b"%08d" % i * (32 + i % 900))' "$d" $n
    "$ais" bucket create ais://small >/dev/null
    settle
    for i in 0 1 2 3; do c0[i]=$(cpu_ns "$(pid_of $i)"); done
    t0=$(now_ms)
    ( taskset -c 1 "$ais" object put -r "$d" ais://small >/dev/null; times >"$tmp/times" )
    t1=$(now_ms)
    echo; echo "ais object put -r: $n small files (4 KiB on average), $((n * 1000 / (t1 - t0))) files/s"
    for i in 0 1 2 3; do
        printf '%-8s %8s us CPU/file\n' "${names[i]}" "$(calc %.1f "$(($(cpu_ns "$(pid_of $i)") - c0[i])) / $n / 1e3")"
    done
    printf '%-8s %8s us CPU/file\n' client "$(awk -v n=$n 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); s += t[1] * 60 + t[2] } printf "%.1f", s / n * 1e6 }' "$tmp/times")"
    json "{\"bench\":\"small\",\"files\":$n,\"per_s\":$((n * 1000 / (t1 - t0)))}"
}

cluster start
"$ais" bucket create ais://bench >/dev/null
head -c 4096 /dev/urandom >"$tmp/4k"
"$ais" object put "$tmp/4k" ais://bench/4k >/dev/null
for s in "${sections[@]}"; do "bench_$s"; done
after_load
echo; echo "JSON: $out"

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# lib/net against nginx: what a request, or a byte, costs the server in CPU time.
#
#     bench/net_bench.sh [SECONDS [ROUNDS]]
#
# Both serve the same three files (4 KiB, 1 MiB, 16 MiB) from the page cache with one worker pinned to core 0; wrk with 64
# keep-alive connections is pinned to core 1. They take turns, and the CPU time is the server's own (schedstat of its threads), so
# that other load on the machine falls on both alike. Look at the ratios only. Beside the table a line of JSON per row goes to
# net_bench.json in the current directory.
set -euo pipefail
cd "$(dirname "$0")/.."
secs=${1:-2} rounds=${2:-3} conns=64
port_nginx=${PORT_NGINX:-28181} port_ais=${PORT_AIS:-28182}
out=$PWD/net_bench.json
for tool in nginx wrk taskset; do
    command -v $tool >/dev/null || { echo "$tool is missing: skipped"; exit 0; }
done
cmake --preset release >/dev/null
cmake --build --preset release --target bench_net_server -- -j2 >/dev/null

dir=$(mktemp -d) pids=()
cleanup() { for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$dir"; }
trap cleanup EXIT

mkdir "$dir/f"
head -c 4096 /dev/urandom >"$dir/f/4k"
dd if=/dev/urandom of="$dir/f/1m" bs=1M count=1 status=none # in large writes: the page cache gets large folios, as from a PUT
dd if=/dev/urandom of="$dir/f/16m" bs=1M count=16 status=none
cat >"$dir/nginx.conf" <<CONF
daemon off; master_process off; worker_processes 1; pid $dir/nginx.pid; error_log $dir/error.log;
events { worker_connections 1024; use epoll; }
http {
    access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000; default_type application/octet-stream;
    open_file_cache max=100 inactive=600s; open_file_cache_valid 600s;
    client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/c; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
    server { listen 127.0.0.1:$port_nginx; root $dir; }
}
CONF
taskset -c 0 nginx -c "$dir/nginx.conf" 2>/dev/null & pids+=($!); nginx_pid=$!
taskset -c 0 build/bin/bench_net_server "$port_ais" "$dir/f" >/dev/null & pids+=($!); ais_pid=$!
for port in $port_nginx $port_ais; do
    for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; read -rt 0.05 <> <(:) || true; done
done

cpu_ns() { cat /proc/"$1"/task/*/schedstat | awk '{ s += $1 } END { printf "%.0f\n", s }'; }

# measure PID PORT FILE -> "requests cpu_ns"
measure() {
    local before after n
    before=$(cpu_ns "$1")
    n=$(taskset -c 1 wrk -t1 -c$conns -d"${secs}s" --timeout 30s "http://127.0.0.1:$2/f/$3" |
        awk '/requests in/ { n = $1 } /Non-2xx|Socket errors/ { bad = 1; print > "/dev/stderr" } END { print n + 0 }')
    after=$(cpu_ns "$1")
    echo "$n $((after - before))"
}

: >"$out"
printf '%-6s %14s %14s %12s %12s %8s\n' file "nginx us/req" "ours us/req" "nginx MB/cs" "ours MB/cs" ratio
for f in 4k 1m 16m; do
    size=$(stat -c %s "$dir/f/$f") nn=0 nc=0 an=0 ac=0
    for _ in $(seq "$rounds"); do
        read -r n c < <(measure "$nginx_pid" "$port_nginx" $f); nn=$((nn + n)) nc=$((nc + c))
        read -r n c < <(measure "$ais_pid" "$port_ais" $f); an=$((an + n)) ac=$((ac + c))
    done
    awk -v f=$f -v s="$size" -v nn=$nn -v nc=$nc -v an=$an -v ac=$ac -v out="$out" 'BEGIN {
        tn = nc / nn / 1e3; ta = ac / an / 1e3
        printf "%-6s %14.2f %14.2f %12.0f %12.0f %7.2fx\n", f, tn, ta, s / tn, s / ta, tn / ta
        printf "{\"bench\":\"net\",\"file\":\"%s\",\"nginx_us\":%.3f,\"ours_us\":%.3f,\"ratio\":%.3f}\n", f, tn, ta, tn / ta >>out
    }'
done

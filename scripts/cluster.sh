#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A real cluster of processes on this machine, for tests and developers. Everything it writes lies in --dir.
# Runs on: Linux with bash, curl, openssl.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: scripts/cluster.sh start|stop|kill|restart|add-target|status|clean [options]

  start    start the cluster (nodes that run already are left alone) and wait until it is ready
  stop     end all nodes gracefully (SIGTERM), wait until they are gone
  kill     end all nodes at once (SIGKILL): what a power cut does to processes
  restart  stop, then start (with --node I: that one)
  add-target  one more target joins the cluster that runs; its number is printed
  status   one line a node; exit code 0 when all run and the cluster is ready
  clean    stop, then remove --dir

  --proxies P      proxies (1)                 --dir D          folder for everything (/tmp/ais-cluster)
  --targets T      targets (3)                 --port N         first port (8080)
  --mountpaths M   mountpaths a target (2)     --timeout S      longest wait for readiness, seconds (30)
  --node I         stop, kill, start: this node only
  --no-key         no cluster key (loopback only anyway)
  --no-wait        start: do not wait for readiness
  --tls            HTTPS on all networks; the certificate, made at the first start, is D/tls.crt (its own authority)

Node i, proxies first, listens on N+i; control network N+1000+i, data network N+2000+i.
Programs come from $AIS_BUILD/bin or build/bin. A cluster's numbers are remembered in D/cluster.conf, so that after the first
start --dir is enough. Log files: D/<i>/log, standard error: D/<i>/stderr.
USAGE
}

die() {
    echo "cluster.sh: $*" >&2
    exit 1
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${AIS_BUILD:-$root/build}
aisnode=$build/bin/aisnode

[ $# -ge 1 ] || { usage; exit 2; }
cmd=$1
shift
case $cmd in
-h | --help | help) usage; exit 0 ;;
start | stop | kill | restart | add-target | status | clean) ;;
*) usage >&2; die "unknown command \"$cmd\"" ;;
esac

proxies= targets= mountpaths= port= dir=/tmp/ais-cluster timeout=30 only= key=1 wait=1 tls=
while [ $# -gt 0 ]; do
    opt=$1 val=
    case $opt in
    --*=*) val=${opt#*=}; opt=${opt%%=*} ;;
    --no-key | --no-wait | --tls | -h | --help) ;;
    *) [ $# -ge 2 ] || die "$opt needs a value"; val=$2; shift ;;
    esac
    shift
    case $opt in
    --proxies | --targets | --mountpaths | --port | --timeout | --node)
        [[ $val =~ ^[0-9]+$ ]] || die "$opt: \"$val\" is not a number" ;;
    esac
    case $opt in
    --proxies) proxies=$val ;;
    --targets) targets=$val ;;
    --mountpaths) mountpaths=$val ;;
    --port) port=$val ;;
    --timeout) timeout=$val ;;
    --node) only=$val ;;
    --dir) dir=$val ;;
    --no-key) key=0 ;;
    --no-wait) wait=0 ;;
    --tls) tls=1 ;;
    -h | --help) usage; exit 0 ;;
    *) die "unknown option $opt (see --help)" ;;
    esac
done
[ -n "$dir" ] || die "--dir is empty"
case $dir in /*) ;; *) dir=$PWD/$dir ;; esac
conf=$dir/cluster.conf

# Numbers given now win over remembered ones; a cluster that exists keeps its shape.
recall() {
    local k v
    [ -f "$conf" ] || return 0
    while IFS='=' read -r k v; do
        [[ $v =~ ^[0-9]+$ ]] || continue
        case $k in
        proxies) : "${proxies:=$v}" ;;
        targets) : "${targets:=$v}" ;;
        mountpaths) : "${mountpaths:=$v}" ;;
        port) : "${port:=$v}" ;;
        tls) : "${tls:=$v}" ;;
        esac
    done <"$conf"
}
recall
: "${proxies:=1}" "${targets:=3}" "${mountpaths:=2}" "${port:=8080}" "${tls:=0}"
[ "$tls" = 1 ] && scheme=https https=true || scheme=http https=false
nodes=$((proxies + targets))
[ "$proxies" -ge 1 ] || die "a cluster needs a proxy"
[ "$nodes" -le 1000 ] || die "at most 1000 nodes"
[ "$port" -gt 0 ] && [ $((port + 2000 + nodes)) -le 65535 ] || die "--port $port leaves no room for all networks"

# The pid of node i, only if that process is really ours: same program file, same local configuration.
pid_of() {
    local f=$dir/$1/pid pid exe
    [ -f "$f" ] || return 1
    pid=$(<"$f")
    [[ $pid =~ ^[0-9]+$ ]] && [ -d "/proc/$pid" ] || return 1
    exe=$(readlink "/proc/$pid/exe" 2>/dev/null) || return 1
    case ${exe% (deleted)} in */aisnode) ;; *) return 1 ;; esac
    tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF -- "-local_config=$dir/$1/ais_local.json" || return 1
    echo "$pid"
}

# Does the process still run (whatever it has exec'd so far)?
alive() {
    local pid
    pid=$(cat "$dir/$1/pid" 2>/dev/null) && [ -n "$pid" ] || return 1
    case $(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$pid/status" 2>/dev/null) in '' | Z) return 1 ;; esac
}

selected() {
    if [ -n "$only" ]; then
        [ "$only" -lt "$nodes" ] || die "there is no node $only"
        echo "$only"
    else
        seq 0 $((nodes - 1))
    fi
}

role_of() { [ "$1" -lt "$proxies" ] && echo proxy || echo target; }

make_certificate() {
    [ "$tls" = 1 ] && [ ! -f "$dir/tls.crt" ] || return 0
    (umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=aistore" \
        -addext "subjectAltName=IP:127.0.0.1,DNS:localhost" -keyout "$dir/tls.key" -out "$dir/tls.crt" 2>/dev/null)
}

write_config() {
    local i=$1 d=$dir/$1 discovery=
    mkdir -p "$d/log"
    [ "$proxies" -lt 2 ] || discovery=$scheme://127.0.0.1:$((port + 1001)) # where node 0, empty, asks for the cluster before it begins one
    if [ ! -f "$dir/ais.json" ]; then
        cat >"$dir/ais.json" <<JSON
{
  "backend": {},
  "proxy": {"primary_url": "$scheme://127.0.0.1:$((port + 1000))", "original_url": "$scheme://127.0.0.1:$((port + 1000))",
            "discovery_url": "$discovery", "non_electable": false},
  "auth": {"client_auth_required": false},
  "space": {"cleanupwm": 65, "lowwm": 90, "highwm": 95, "out_of_space": 98},
  "timeout": {"cplane_operation": "2s", "max_keepalive": "5s", "max_host_busy": "20s", "startup_time": "1m",
              "join_startup_time": "3m", "send_file_time": "5m"},
  "resilver": {"enabled": true},
  "memsys": {"min_free": "2gb", "default_buf": "32kb", "to_gc": "4gb", "hk_time": "3m"},
  "versioning": {"enabled": true, "validate_warm_get": false},
  "net": {"l4": {"proto": "tcp", "sndrcv_buf_size": 131072},
          "http": {"use_https": $https, "server_crt": "$dir/tls.crt", "server_key": "$dir/tls.key", "idle_conn_time": "6s",
                   "idle_conns_per_host": 32, "idle_conns": 256, "chunked_transfer": true, "skip_verify": $https}}
}
JSON
    fi
    cat >"$d/ais_local.json" <<JSON
{
  "confdir": "$d",
  "log_dir": "$d/log",
  "host_net": {"hostname": "127.0.0.1", "hostname_intra_control": "", "hostname_intra_data": "",
               "port": "$((port + i))", "port_intra_control": "$((port + 1000 + i))", "port_intra_data": "$((port + 2000 + i))"},
  "fspaths": {},
  "test_fspaths": {"root": "$dir/data", "count": $mountpaths, "instance": $i}
}
JSON
    if [ "$key" = 1 ]; then
        if [ ! -f "$dir/cluster_key" ]; then
            (umask 077 && echo "1:$(openssl rand -hex 32)" >"$dir/cluster_key.tmp" && mv "$dir/cluster_key.tmp" "$dir/cluster_key")
        fi
        [ -f "$d/.ais.cluster_key" ] || install -m 0600 "$dir/cluster_key" "$d/.ais.cluster_key"
    fi
}

port_taken() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# A node that was killed may hold its ports a little longer than its pid: the kernel ends its threads one by one.
port_free() {
    local deadline=$((SECONDS + 5))
    while port_taken "$1"; do
        [ -f "$2" ] && [ $SECONDS -lt $deadline ] || return 1
        sleep 0.02
    done
}

start_node() {
    local i=$1 d=$dir/$1 p args
    for p in $((port + i)) $((port + 1000 + i)) $((port + 2000 + i)); do
        port_free "$p" "$d/stderr" || die "port $p is taken by another program; choose others with --port"
    done
    args=("-role=$(role_of "$i")" "-config=$dir/ais.json" "-local_config=$d/ais_local.json")
    [ "$(role_of "$i")" = target ] || args+=("-ntargets=$targets")
    setsid "$aisnode" "${args[@]}" >>"$d/stderr" 2>&1 </dev/null &
    echo $! >"$d/pid.tmp"
    mv "$d/pid.tmp" "$d/pid"
}

health() { curl -fsSk -o /dev/null --max-time 2 "$scheme://127.0.0.1:$1/v1/health?$2" 2>/dev/null; }

# In maintenance a node is never ready, by design: then it is enough that it is up and knows it.
set_aside() {
    curl -fsSk --max-time 2 "$scheme://127.0.0.1:$1/v1/daemon?what=node_status" 2>/dev/null |
        grep -qE '"status": *"(maintenance|decommission)"' && health "$1" ''
}

dead_node() {
    local i=$1
    echo "cluster.sh: node $i ($(role_of "$i")) ended. Its last words:" >&2
    tail -n 5 "$dir/$i/stderr" >&2 || true
    exit 1
}

# All nodes ready, and the primary says that the cluster has started.
wait_ready() {
    local deadline=$((SECONDS + timeout)) i ready
    while :; do
        ready=1
        for i in $(selected); do
            alive "$i" || dead_node "$i"
            health $((port + i)) readiness=true || set_aside $((port + i)) || { ready=0; break; }
        done
        [ $ready = 0 ] || health "$port" prr=true || ready=0
        [ $ready = 0 ] || return 0
        [ $SECONDS -lt $deadline ] || die "not ready after $timeout s; see $dir/*/log and $dir/*/stderr"
        sleep 0.02
    done
}

do_start() {
    local i started=0
    command -v curl >/dev/null && command -v openssl >/dev/null || die "curl and openssl are needed: scripts/deps.sh build"
    [ -x "$aisnode" ] || die "$aisnode is missing: build first, or set AIS_BUILD"
    mkdir -p "$dir"
    printf 'proxies=%s\ntargets=%s\nmountpaths=%s\nport=%s\ntls=%s\n' "$proxies" "$targets" "$mountpaths" "$port" "$tls" >"$conf"
    make_certificate
    for i in $(selected); do
        if pid_of "$i" >/dev/null; then
            continue
        fi
        write_config "$i"
        start_node "$i"
        started=$((started + 1))
    done
    if [ "$wait" = 0 ]; then
        echo "$started started, dir $dir"
        return
    fi
    wait_ready
    echo "cluster of $proxies+$targets is ready at $scheme://127.0.0.1:$port ($started started, dir $dir)"
}

# Sends signal $1 to the selected nodes and waits until they are gone.
do_end() {
    local sig=$1 deadline=$((SECONDS + 20)) i pid n=0
    local -A left=()
    for i in $(selected); do
        pid=$(pid_of "$i") || continue
        kill -"$sig" "$pid" 2>/dev/null && left[$i]=$pid && n=$((n + 1))
    done
    for i in "${!left[@]}"; do
        while alive "$i"; do
            [ $SECONDS -lt $deadline ] || die "node $i (pid ${left[$i]}) does not end"
            sleep 0.02
        done
        rm -f "$dir/$i/pid"
    done
    echo "$n of $(selected | wc -l) nodes were running and have ended"
}

do_status() {
    local i pid up all=0
    for i in $(selected); do
        if pid=$(pid_of "$i"); then
            up=starting
            if health $((port + i)) readiness=true; then up=ready
            elif set_aside $((port + i)); then up="set aside"
            else all=1; fi
        else
            pid=- up=down all=1
        fi
        printf '%-3s %-7s %s://127.0.0.1:%-6s pid %-8s %s\n' "$i" "$(role_of "$i")" "$scheme" $((port + i)) "$pid" "$up"
    done
    return $all
}

case $cmd in
start) do_start ;;
stop) do_end TERM ;;
kill) do_end KILL ;;
restart)
    do_end TERM
    do_start
    ;;
add-target)
    [ -f "$conf" ] || die "there is no cluster in $dir yet"
    only=$nodes targets=$((targets + 1)) nodes=$((nodes + 1))
    do_start >&2
    echo "$only"
    ;;
status) do_status ;;
clean)
    only=
    if [ -d "$dir" ]; then
        [ -f "$conf" ] || die "$dir does not look like a cluster's folder (no cluster.conf): not removed"
        do_end TERM
        rm -rf -- "$dir"
    fi
    echo "nothing left in $dir"
    ;;
esac

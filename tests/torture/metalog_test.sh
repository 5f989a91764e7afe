#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Full disks under the metadata log of proxies: what cannot be kept is refused, what was acknowledged stays, and when there is room again
# all goes on; one full disk of three is not noticed; nobody has to help. Each proxy's folder is a small file system of its own (skipped where that cannot be).
# AIS_TORTURE_PORT: first port (21190).
set -uo pipefail
cd "$(dirname "$0")/../.."
port=${AIS_TORTURE_PORT:-21190}
dir=$(mktemp -d /tmp/ais-metalog.XXXXXX)
c=$dir/c
bad=0

end() {
    scripts/cluster.sh kill --dir "$c" >/dev/null 2>&1
    for i in 0 1 2; do mountpoint -q "$c/$i" && umount -l "$c/$i"; done
    rm -rf "$dir"
}
trap end EXIT

ok() { echo "ok $1"; }
no() {
    echo "not ok $1: $2"
    tail -n 5 "$c"/*/stderr 2>/dev/null | sed 's/^/# /'
    bad=1
}
check() { # NAME COMMAND...: the function prints why not
    local why
    why=$("${@:2}" 2>&1) && ok "$1" || no "$1" "$why"
}
until_true() { # SECONDS COMMAND...
    local end=$((SECONDS + $1))
    while ! "${@:2}"; do
        [ $SECONDS -lt $end ] || return 1
        read -rt 0.1 <> <(:) || :
    done
}
create() { curl -sS -m 20 -o "$dir/answer" -w '%{http_code}' -X POST -H 'Content-Type: application/json' -d '{"action":"create-bck"}' "http://127.0.0.1:$((port + ${2:-0}))/v1/buckets/$1"; }
created() { [ "$(create "$1" "${2:-0}")" = 200 ]; }
buckets() { curl -sS -m 20 -X GET -H 'Content-Type: application/json' -d '{"action":"list"}' "http://127.0.0.1:$((port + ${1:-0}))/v1/buckets" | tr ',{' '\n\n' | sed -n 's/.*"name":"\([^"]*\)".*/\1/p' | sort; }
primary() { curl -sS -m 5 "http://127.0.0.1:$port/v1/daemon?what=smap" | tr -d '\n ' | sed -n 's/.*"proxy_si":{[^}]*"daemon_port":"\([0-9]*\)".*/\1/p'; }
fill() { head -c 64M /dev/zero >"$c/$1/ballast" 2>/dev/null; sync "$c/$1/ballast" 2>/dev/null; [ "$(df --output=avail "$c/$1" | tail -1)" -lt 64 ]; }

setup() {
    scripts/cluster.sh start --dir "$c" --port "$port" --proxies 3 --targets 2 >/dev/null && scripts/cluster.sh stop --dir "$c" >/dev/null || return 1
    for i in 0 1 2; do
        mv "$c/$i" "$c/$i.was" && mkdir "$c/$i" && mount -t tmpfs -o size=24m none "$c/$i" 2>/dev/null || return 77
        cp -a "$c/$i.was/." "$c/$i/" && rm -rf "$c/$i.was"
    done
    scripts/cluster.sh start --dir "$c" >/dev/null
}

known=$dir/known
: >"$known"
make() { # NAME: remembered when it was acknowledged
    created "$1" && echo "$1" >>"$known"
}
all_known() { # NODE: every acknowledged bucket is listed
    [ -z "$(sort "$known" | comm -23 - <(buckets "$1"))" ]
}

# What was set aside for the log is used up first: by settings, which take more of it than buckets do.
long=$(head -c 900 /dev/zero | tr '\0' x)
use_up() {
    local i rc
    for i in $(seq 3000); do
        rc=$(curl -sS -m 20 -o "$dir/answer" -w '%{http_code}' -X PUT -H 'Content-Type: application/json' \
            -d '{"action":"set-config","value":{"tracing":{"exporter_endpoint":"http://'"$i$long"'"}}}' "http://127.0.0.1:$port/v1/cluster")
        [ "$rc" = 200 ] || return 0
    done
    echo "$i settings were kept on full disks"
    return 1
}
refused() {
    local i rc= at
    for i in 0 1 2; do fill "$i" || { echo "$c/$i is not full"; return 1; }; done
    use_up || return 1
    for i in $(seq 100); do
        rc=$(create "full$i")
        [ "$rc" = 200 ] || break
        echo "full$i" >>"$known"
    done
    [ "$rc" != 200 ] || { echo "100 buckets were made on full disks"; return 1; }
    case $rc in
    507 | 503 | 504) ;; # 504: the followers have no room, what became of it is not known
    *) echo "answered $rc: $(cat "$dir/answer")"; return 1 ;;
    esac
    grep -qi 'space\|busy\|again\|not known' "$dir/answer" || { echo "says: $(cat "$dir/answer")"; return 1; }
    all_known 0 || { echo "acknowledged buckets are missing: $(sort "$known" | comm -23 - <(buckets 0) | head -3)"; return 1; }
    at=$(curl -sS -m 20 -L --post301 -o /dev/null -w '%{http_code}' -T scripts/cluster.sh "http://127.0.0.1:$port/v1/objects/first/o")
    case $at in
    200 | 503) ;; # 503: without a leader that can write there are no leases
    *) echo "PUT of an object is answered $at"; return 1 ;;
    esac
}
again() {
    for i in 0 1 2; do rm -f "$c/$i/ballast"; done
    until_true 20 make after || { echo "no bucket can be made although there is room: $(cat "$dir/answer")"; return 1; }
    all_known 0 || { echo "acknowledged buckets are missing"; return 1; }
}
minority() {
    local p=$(($(primary) - port)) f
    f=$(((p + 1) % 3))
    fill "$f" || { echo "not full"; return 1; }
    for i in $(seq 20); do make "minority$i" || { echo "one full follower: $(cat "$dir/answer")"; return 1; }; done
    rm -f "$c/$f/ballast"
}
killed_while_full() {
    for i in 0 1 2; do fill "$i"; done
    use_up || return 1
    for i in $(seq 100); do make "dying$i" || break; done
    scripts/cluster.sh kill --dir "$c" >/dev/null
    for i in 0 1 2; do rm -f "$c/$i/ballast"; done
    scripts/cluster.sh start --dir "$c" >/dev/null || { echo "does not start"; return 1; }
    until_true 20 make reborn || { echo "no bucket: $(cat "$dir/answer")"; return 1; }
    for i in 0 1 2; do until_true 20 all_known "$i" || { echo "node $i lacks: $(sort "$known" | comm -23 - <(buckets "$i") | head -3)"; return 1; }; done
}

setup
case $? in
0)
    until_true 20 make first || no metalog-start "$(cat "$dir/answer" 2>/dev/null)"
    check metalog-full refused
    check metalog-again again
    check metalog-full-minority minority
    check metalog-killed-while-full killed_while_full
    ;;
77) for n in metalog-full metalog-again metalog-full-minority metalog-killed-while-full; do echo "skip $n: no file system can be mounted here"; done ;;
*) no metalog-start "the cluster does not start" ;;
esac
exit $bad

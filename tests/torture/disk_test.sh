#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Disks that fill up, become read-only, fail or vanish under a running target, and a target that dies in the middle of a PUT.
# A small file system is made in a file and mounted; where that is not allowed, those tests are skipped.
# AIS_TORTURE_PORT: first port (21090).
set -uo pipefail
cd "$(dirname "$0")/../.."
port=${AIS_TORTURE_PORT:-21090}
dir=$(mktemp -d /tmp/ais-disk.XXXXXX)
c=$dir/c small=$dir/c/data/mp1/1 other=$dir/c/data/mp2/1
url=http://127.0.0.1:$port/v1
bad=0

umount_small() {
    mountpoint -q "$small" && umount -l "$small"
    [ -z "${loop:-}" ] || losetup -d "$loop" 2>/dev/null
    loop=
}
end() {
    scripts/cluster.sh kill --dir "$c" >/dev/null 2>&1
    umount_small
    rm -rf "$dir"
}
trap end EXIT

ok() { echo "ok $1"; }
no() {
    echo "not ok $1: $2"
    tail -n 5 "$c"/*/stderr 2>/dev/null | sed 's/^/# /'
    bad=1
}
# check NAME COMMAND...: the function prints why not.
check() {
    local why
    why=$("${@:2}" 2>&1) && ok "$1" || no "$1" "$why"
}
put() { curl -sS -o /dev/null -w '%{http_code}' -L --post301 -T "$2" "$url/objects/d/$1"; }
code() { curl -sS -o "${3:-/dev/null}" -w '%{http_code}' -L -X "$1" "$url/objects/d/$2"; }
names() { curl -sS -X GET -H 'Content-Type: application/json' -d '{"action":"list","value":{"props":"name,size"}}' "$url/buckets/d" | tr ',{' '\n\n' | sed -n 's/.*"name":"\([^"]*\)".*/\1/p'; }
# until_true SECONDS COMMAND...
until_true() {
    local end=$((SECONDS + $1))
    while ! "${@:2}"; do
        [ $SECONDS -lt $end ] || return 1
        read -rt 0.1 <> <(:) || :
    done
}

# A small ext4 on a loop device as the first mountpath; the second lies on the machine's own disk when asked for.
mount_small() { # SIZE
    mkdir -p "$small" || return 1
    truncate -s "$1" "$dir/image" && mkfs.ext4 -q -F "$dir/image" 2>/dev/null || return 1
    loop=$(losetup -f --show "$dir/image" 2>/dev/null) || return 1
    mount -o errors=remount-ro "$loop" "$small" 2>/dev/null
}
fresh() { # MOUNTPATHS
    scripts/cluster.sh kill --dir "$c" >/dev/null 2>&1
    umount_small
    rm -rf "$c"
    [ -z "${2:-}" ] || mount_small "$2" || return 77
    scripts/cluster.sh start --dir "$c" --port "$port" --proxies 1 --targets 1 --mountpaths "$1" >/dev/null || return 1
    curl -sS -o /dev/null -X POST -H 'Content-Type: application/json' -d '{"action":"create-bck"}' "$url/buckets/d"
}
running() { scripts/cluster.sh status --dir "$c" >/dev/null; }

head -c 1000000 /dev/urandom >"$dir/big"
head -c 3000 /dev/urandom >"$dir/small"

# --- a full disk ---

listed_is_there() {
    local n
    for n in $(names); do
        [ "$(code GET "$n" "$dir/got")" = 200 ] || { echo "$n is listed and cannot be read"; return 1; }
        cmp -s "$dir/got" "$dir/big" || cmp -s "$dir/got" "$dir/small" || { echo "$n is not whole"; return 1; }
    done
}
fill() {
    local i rc
    for i in $(seq 200); do
        rc=$(put "o$i" "$dir/$([ $((i % 4)) = 0 ] && echo small || echo big)")
        case $rc in
        200) ;;
        507) echo "$i" >"$dir/filled"; return 0 ;;
        *) echo "PUT on a full disk is answered $rc"; return 1 ;;
        esac
    done
    echo "200 objects fit"
    return 1
}
full() {
    fill || return 1
    [ "$(names | wc -l)" = $(($(cat "$dir/filled") - 1)) ] || { echo "listed $(names | wc -l), put $(($(cat "$dir/filled") - 1))"; return 1; }
    listed_is_there
}
delete_all() {
    local n rc
    for n in $(names); do
        rc=$(code DELETE "$n")
        [ "$rc" = 200 ] || { echo "DELETE on a full disk is answered $rc"; return 1; }
    done
    [ -z "$(names)" ] || { echo "still listed: $(names | head -3)"; return 1; }
}
can_put() { [ "$(put "$1" "$dir/big")" = 200 ]; }
restarted() {
    scripts/cluster.sh kill --dir "$c" >/dev/null && scripts/cluster.sh start --dir "$c" >/dev/null || { echo "does not start"; return 1; }
    listed_is_there
}

fresh 1 48M
case $? in
77) for n in disk-full disk-full-restart disk-full-delete disk-full-again disk-read-only disk-fails; do
    echo "skip $n: no right to mount a loop device"
done ;;
0)
    check disk-full full
    check disk-full-restart restarted
    check disk-full-delete delete_all
    check disk-full-again until_true 20 can_put again

    # --- read-only: an error of the file system, so the kernel remounts ---
    read_only() {
        [ "$(put keep "$dir/big")" = 200 ] || { echo "PUT before"; return 1; }
        local rc
        echo 1 >"/sys/fs/ext4/${loop#/dev/}/trigger_fs_error" || { echo "cannot make it read-only"; return 1; }
        rc=$(put ro "$dir/small")
        [ "$rc" = 500 ] || [ "$rc" = 507 ] || { echo "PUT on a read-only disk is answered $rc"; return 1; }
        running || { echo "the node ended"; return 1; }
        rc=$(code GET keep "$dir/got")
        [ "$rc" = 200 ] && cmp -s "$dir/got" "$dir/big" || { echo "GET on a read-only disk is answered $rc"; return 1; }
    }
    check disk-read-only read_only
    ;;
*) no disk-full "the cluster does not start" ;;
esac

# --- a disk that fails: every access is an I/O error; the other mountpath goes on ---
state_is() { curl -sS "http://127.0.0.1:$((port + 1))/v1/daemon?what=mountpaths" | grep -q "\"$1\":\[[^]]*mp1/1"; }
put_many() { # from to
    local i rc n=0
    for i in $(seq "$1" "$2"); do
        rc=$(put "m$i" "$dir/small")
        [ "$rc" = 200 ] && n=$((n + 1))
    done
    echo "$n"
}
fails() {
    [ "$(put_many 1 30)" = 30 ] || { echo "PUT before"; return 1; }
    "$@" || { echo "cannot break it"; return 1; }
    put_many 1 10 >/dev/null
    until_true 15 state_is disabled || { echo "the mountpath is not disabled"; curl -sS "http://127.0.0.1:$((port + 1))/v1/daemon?what=mountpaths"; return 1; }
    running || { echo "the node ended"; return 1; }
    [ "$(put_many 31 50)" = 20 ] || { echo "PUT afterwards"; return 1; }
    [ -n "$(names)" ] && listed_is_there
}
shut_down() {
    python3 - "$small" <<'PY'
import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(fd, 0x8004587D, struct.pack("I", 2))  # EXT4_IOC_SHUTDOWN, without flushing the log
PY
}
vanishes() { rm -rf "$small"; }

if fresh 2 48M; then
    check disk-fails fails shut_down
fi
if fresh 2; then
    check disk-vanishes fails vanishes
else
    no disk-vanishes "the cluster does not start"
fi

# --- a target that dies in the middle of a PUT ---
receiving() { ls -l "/proc/$(cat "$c/1/pid")/fd" 2>/dev/null | grep -q '%wk'; }
in_the_middle() {
    local pid n
    [ "$(put half "$dir/small")" = 200 ] || { echo "PUT before"; return 1; }
    for n in half fresh; do
        curl -sS -o /dev/null -L --post301 --limit-rate 300K -T "$dir/big" "$url/objects/d/$n" 2>/dev/null &
        pid=$!
        until_true 5 receiving || { echo "the target does not receive"; return 1; }
        scripts/cluster.sh kill --dir "$c" --node 1 >/dev/null
        wait $pid
        scripts/cluster.sh start --dir "$c" >/dev/null || { echo "does not start"; return 1; }
    done
    [ "$(code GET half "$dir/got")" = 200 ] && cmp -s "$dir/got" "$dir/small" || { echo "the old object is not there"; return 1; }
    [ "$(code GET fresh)" = 404 ] || { echo "a half object is served"; return 1; }
    [ "$(names)" = half ] || { echo "listed: $(names)"; return 1; }
    [ -z "$(find "$c/data" -path '*%wk/*')" ] || { echo "work files are left"; return 1; }
}
if fresh 2; then check put-dies in_the_middle; else no put-dies "the cluster does not start"; fi
exit $bad

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# From a bare Debian 12 to a running cluster with real data in it: installs packages, builds, starts one proxy and three targets on
# loopback, and takes a short tour. A second run reuses what is there.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: scripts/quickstart.sh [--port N] [--dir D] [--no-tour]

  --port N    first port (8080): the proxy listens on N, targets on N+1 ..., internal networks on N+1000 and N+2000
  --dir D     folder for everything that the cluster writes (/var/tmp/ais-quickstart)
  --no-tour   build and start only

Installs missing Debian packages as root or with sudo. Stop the cluster with: scripts/cluster.sh stop --dir D
USAGE
}

die() {
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
port=8080 dir=/var/tmp/ais-quickstart tour=1
while [ $# -gt 0 ]; do
    case $1 in
    --port=*) port=${1#*=} ;;
    --dir=*) dir=${1#*=} ;;
    --port | --dir)
        [ $# -ge 2 ] || die "$1 needs a value"
        [ "$1" = --port ] && port=$2 || dir=$2
        shift
        ;;
    --no-tour) tour=0 ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        usage >&2
        die "unknown option \"$1\""
        ;;
    esac
    shift
done
[[ $port =~ ^[0-9]+$ ]] && [ "$port" -ge 1 ] && [ "$port" -le 63000 ] || die "--port: \"$port\" is not a port from 1 to 63000"
mkdir -p "$dir" || die "cannot write to $dir; choose another folder with --dir"
dir=$(cd "$dir" && pwd)

began=$SECONDS
step() { printf '\n\033[1m== %s\033[0m (%d s)\n' "$*" $((SECONDS - began)); }
say() { printf '   %s\n' "$*"; }
now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }
mib() { awk -v b="$1" 'BEGIN { printf "%.1f MiB", b / 1048576 }'; }
# rate BYTES FILES MS: "110.6 MiB in 1.2 s: 92 MiB/s, 6600 files/s"
rate() {
    awk -v b="$1" -v n="$2" -v ms="$3" 'BEGIN { s = (ms > 0 ? ms : 1) / 1000
        printf "%d files, %.1f MiB in %.1f s: %.1f MiB/s, %.0f files/s", n, b / 1048576, s, b / 1048576 / s, n / s }'
}

running() { scripts/cluster.sh status --dir "$dir" >/dev/null 2>&1; }

# Say it before minutes of building: is the port free, or ours?
if ! { [ -f "$dir/cluster.conf" ] && command -v curl >/dev/null && running; }; then
    for p in $(seq "$port" $((port + 3))) $(seq $((port + 1000)) $((port + 1003))) $(seq $((port + 2000)) $((port + 2003))); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null; then
            die "port $p is taken by another program; choose others, for instance: scripts/quickstart.sh --port $((port + 100))"
        fi
    done
else
    port=$(sed -n 's/^port=//p' "$dir/cluster.conf")
fi

step "packages"
scripts/deps.sh build
say "all there"

step "build"
log=$dir/build.log
{ cmake --preset release && cmake --build --preset release --target aisnode ais; } >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    die "the build failed; all of it: $log"
}
say "build/bin/aisnode, build/bin/ais"

step "start one proxy and three targets"
scripts/cluster.sh start --proxies 1 --targets 3 --port "$port" --dir "$dir"
export AIS_ENDPOINT=http://127.0.0.1:$port
ais=$PWD/build/bin/ais

finish() {
    cat <<TEXT

The cluster runs.
   endpoint   $AIS_ENDPOINT          export AIS_ENDPOINT=$AIS_ENDPOINT
   try        build/bin/ais show cluster
              build/bin/ais ls ais://quickstart --prefix usr/include/ --limit 5
              curl -L $AIS_ENDPOINT/v1/objects/quickstart/usr/include/stdio.h
              curl -s $AIS_ENDPOINT/metrics | head
   data       $dir
   stop       scripts/cluster.sh stop --dir $dir
   remove     scripts/cluster.sh clean --dir $dir
TEXT
}
[ "$tour" = 1 ] || {
    finish
    exit 0
}

work=$(mktemp -d "$dir/tour.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
trees=(/usr/include /usr/share/doc)
bck=ais://quickstart

step "a bucket, and this machine's own files in it"
find "${trees[@]}" -type f -readable ! -name $'*\n*' -printf '%s\t%p\n' >"$work/files"
nfiles=$(wc -l <"$work/files")
nbytes=$(awk -F'\t' '{ s += $1 } END { printf "%d", s }' "$work/files")
[ "$nfiles" -gt 0 ] || die "${trees[*]} hold no files"
"$ais" bucket create "$bck" 2>"$work/err" || grep -q 'already exists' "$work/err" || die "$(cat "$work/err")"
have=$("$ais" bucket summary "$bck" --prefix usr/ --json | sed -n 's/.*"obj_count_present": *"\([0-9]*\)".*/\1/p' || true)
if [ "${have:-0}" = "$nfiles" ]; then
    say "$bck holds $nfiles files from an earlier run: reused"
else
    t0=$(now_ms)
    for tree in "${trees[@]}"; do
        "$ais" object put --recursive --yes "$tree" "$bck${tree}/" >>"$work/out" 2>&1 || die "$(tail -3 "$work/out")"
    done
    say "PUT   $(rate "$nbytes" "$nfiles" $(($(now_ms) - t0)))"
fi

step "shards: the same files in TARs of about 16 MiB"
t0=$(now_ms)
awk -F'\t' -v w="$work" '{ if (n == 0 || s + $1 > 16777216) { n++; s = 0 } s += $1; print $2 > sprintf("%s/list-%04d", w, n) }' "$work/files"
shards=0 sbytes=0
mkdir "$work/shards"
for list in "$work"/list-*; do
    tar --create --file "$work/shards/shard-${list##*-}.tar" --absolute-names --files-from "$list"
    shards=$((shards + 1))
done
sbytes=$(du --bytes --summarize "$work/shards" | cut -f1)
t0=$(now_ms)
"$ais" object put --recursive --yes "$work/shards" "$bck/shards/" >>"$work/out" 2>&1 || die "$(tail -3 "$work/out")"
say "PUT   $(rate "$sbytes" "$shards" $(($(now_ms) - t0)))"

step "list"
t0=$(now_ms)
listed=$("$ais" ls "$bck" --prefix usr/ --json | grep -c '"name"' || true)
say "$listed names in $(($(now_ms) - t0)) ms"
[ "$listed" = "$nfiles" ] || die "expected $nfiles names"

step "read everything in parallel, compare every byte with the source"
t0=$(now_ms)
"$ais" object get --recursive --yes "$bck/usr/" "$work/back" >>"$work/out" 2>&1 || die "$(tail -3 "$work/out")"
ms=$(($(now_ms) - t0))
say "GET   $(rate "$nbytes" "$nfiles" "$ms")"
root=$work/back
[ -d "$root/usr" ] && root=$root/usr
cut -f2 "$work/files" | sed 's,^/usr/,,' | tr '\n' '\0' >"$work/names"
(cd /usr && xargs -0 sha256sum -- <"$work/names") >"$work/sums"
(cd "$root" && sha256sum --check --quiet --strict "$work/sums") || die "a file differs from what the cluster returned"
say "all $nfiles files are the same, by SHA-256"

step "read whole, and by range"
one=$work/shards/$(ls "$work/shards" | head -1)
size=$(stat -c %s "$one")
name=shards/${one##*/}
curl -fsSL "$AIS_ENDPOINT/v1/objects/quickstart/$name" | cmp -- "$one" - || die "$name differs"
say "whole     $name ($(mib "$size")): the same"
off=$((size / 3)) len=65536
curl -fsSL -r "$off-$((off + len - 1))" "$AIS_ENDPOINT/v1/objects/quickstart/$name" |
    cmp -- <(tail -c +$((off + 1)) "$one" | head -c $len) - || die "range of $name differs"
say "range     bytes $off-$((off + len - 1)): the same"

step "usage"
"$ais" bucket summary "$bck"
finish
printf '\nDone in %d s.\n' $((SECONDS - began))

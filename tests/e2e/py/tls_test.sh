#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A cluster that speaks HTTPS on all networks: clients verify it, nodes talk, plain HTTP is refused.
set -uo pipefail
cd "$(dirname "$0")/../../.."
dir=$(mktemp -d /tmp/ais-tls.XXXXXX)
port=$((20000 + RANDOM % 9000))
trap 'scripts/cluster.sh clean --dir "$dir/c" >/dev/null 2>&1; rm -rf -- "$dir"' EXIT
check() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$dir/out" 2>&1; then echo "ok $name"; else echo "not ok $name: $(tail -1 "$dir/out")"; fi
}
for _ in 1 2 3; do
    scripts/cluster.sh start --tls --dir "$dir/c" --port "$port" >"$dir/start" 2>&1 && break
    scripts/cluster.sh clean --dir "$dir/c" >/dev/null 2>&1
    port=$((20000 + RANDOM % 9000))
done
check "an HTTPS cluster starts" grep -q 'is ready at https' "$dir/start"
url=https://127.0.0.1:$port
ca=(curl -fsS --max-time 20 --cacert "$dir/c/tls.crt")
head -c 3000001 /dev/urandom >"$dir/body"
check "a bucket is created" "${ca[@]}" -X POST -d '{"action":"create-bck"}' "$url/v1/buckets/t"
check "PUT follows the redirect to a verified target" "${ca[@]}" -L -T "$dir/body" "$url/v1/objects/t/o"
get() { "${ca[@]}" -L "$@" "$url/v1/objects/t/o"; }
check "GET returns the same bytes" cmp "$dir/body" <(get)
check "a range is right" cmp <(tail -c +1000001 "$dir/body" | head -c 70000) <(get -r 1000000-1069999)
certificate() { "${ca[@]}" "$url/v1/daemon?what=tls_certificate" | grep -q '"subject":"/CN=aistore"'; }
check "what=tls_certificate describes the certificate" certificate
stranger() { ! curl -sS --max-time 5 "$url/v1/health" 2>/dev/null; }
check "a client that does not know the authority refuses" stranger
plain() { ! curl -fsS --max-time 5 "http://127.0.0.1:$port/v1/health" 2>/dev/null; }
check "plain HTTP is not served" plain
again() { scripts/cluster.sh kill --dir "$dir/c" && scripts/cluster.sh start --dir "$dir/c" && get | cmp - "$dir/body"; }
check "after kill -9 and a restart the object is there" again

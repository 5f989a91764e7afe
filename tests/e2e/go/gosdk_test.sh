#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# AIStore's published Go client against our own 1+3 cluster: sdk_test.go. Needs Go 1.26 and, once, the Go module proxy.
set -uo pipefail
cd "$(dirname "$0")"
top=$(cd ../../.. && pwd)

export GOTOOLCHAIN=local GOFLAGS=-mod=readonly
command -v go >/dev/null || { echo "there is no go"; exit 77; }
go version | awk '{ split(substr($3, 3), v, "."); exit !(v[1] > 1 || v[2] >= 26) }' || { echo "$(go version) is older than 1.26"; exit 77; }
log=$(mktemp)
dir=$(mktemp -d "${TMPDIR:-/tmp}/ais-gosdk.XXXXXX")
end() {
    "$top/scripts/cluster.sh" clean --dir "$dir/cluster" >/dev/null
    rm -rf -- "$dir" "$log"
}
trap end EXIT
timeout 300 go mod download >"$log" 2>&1 || { tail -n 3 "$log"; echo "modules cannot be had here"; exit 77; }
timeout 600 go test -c -o "$dir/sdk.test" . || { echo "not ok build: the client does not compile"; exit 1; }

port=${AIS_TEST_PORT:-$(python3 -c 'import sys; sys.path.insert(0, "../py"); import wire; print(wire.free_ports(4))')}
"$top/scripts/cluster.sh" start --dir "$dir/cluster" --port "$port" --proxies 1 --targets 3 >"$log" 2>&1 || { cat "$log"; exit 1; }
AIS_ENDPOINT=http://127.0.0.1:$port timeout 120 "$dir/sdk.test" -test.v >"$log" 2>&1
rc=$?
awk '/^ +sdk_test.go/ { why = why " " $0 }
     /^--- PASS/ { print "ok " $3; why = "" }
     /^--- FAIL/ { print "not ok " $3 ":" why; why = "" }' "$log"
for f in "$dir"/cluster/*/stderr; do
    [ ! -s "$f" ] || { echo "not ok nodes_keep_quiet: $(head -1 "$f")"; rc=1; }
done
[ $rc = 0 ] || tail -n 20 "$log" | sed 's/^/    | /'
exit $rc

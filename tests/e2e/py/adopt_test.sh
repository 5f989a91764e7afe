#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Disks that a real AIStore 5.0 wrote (tests/golden/go-aistore-disks.tar.gz), adopted in place by our own nodes. See adopt_test.py.
#
# The paths in that metadata are absolute (/ais/...), so that this runs in mount and network namespaces of its own.
set -euo pipefail
cd "$(dirname "$0")"

ns=(unshare -mn)
[ "$(id -u)" = 0 ] || ns=(unshare -mnUr)
"${ns[@]}" true 2>/dev/null || { echo "unshare (mount and network namespaces) is not allowed here"; exit 77; }

dir=$(mktemp -d "${TMPDIR:-/tmp}/ais-adopt.XXXXXX")
made=
[ -d /ais ] || { mkdir /ais 2>/dev/null && made=1; } || { echo "/ais cannot be made here"; exit 77; }
trap 'rm -rf -- "$dir"; [ -z "$made" ] || rmdir /ais 2>/dev/null || true' EXIT
# The nodes' ports lie where the kernel takes ports for outgoing connections from: here it shall take others.
"${ns[@]}" bash -c 'mount --bind "$0" /ais && ip link set lo up && echo 10000 30000 >/proc/sys/net/ipv4/ip_local_port_range; exec python3 adopt_test.py' "$dir"

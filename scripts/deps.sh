#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Install what the project needs from Debian 12, and only what is missing.
#   scripts/deps.sh build   to build and run (the default)
#   scripts/deps.sh test    also what the tests need: clang with its sanitizers, varnishtest, Python's venv, ...
# Needs root or sudo only when something is missing. AIS_DEPS=skip: believe that everything is there.
set -euo pipefail

build=(gcc cmake ninja-build pkg-config git ca-certificates libssl-dev libjansson-dev liblmdb-dev liburing-dev liblz4-dev
    libxxhash-dev libisal-dev libcurl4-openssl-dev libarchive-dev libraft-dev curl openssl)
test=(libcmocka-dev clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14 varnish python3 python3-venv attr
    e2fsprogs procps iproute2 xxd)

want=("${build[@]}")
case "${1:-build}" in
build) ;;
test) want+=("${test[@]}") ;;
*)
    echo "usage: scripts/deps.sh [build|test]" >&2
    exit 2
    ;;
esac
[ "${AIS_DEPS:-}" != skip ] || exit 0

missing=()
for p in "${want[@]}"; do
    dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0

sudo=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
        echo "deps: these Debian packages are missing and neither root nor sudo is here: ${missing[*]}" >&2
        exit 1
    }
    sudo=sudo
fi
echo "deps: installing ${#missing[@]} Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -q >/dev/null
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null

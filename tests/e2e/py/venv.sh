#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Prints the Python of a virtual environment that holds requirements.txt; makes it when it is not there. Exit 77 with the reason
# when it cannot be had (no venv module, no way to the package index). The environment is kept in AIS_TEST_VENV, or in the user's
# cache by the content of requirements.txt, so that later runs start at once and need no network.
set -euo pipefail
cd "$(dirname "$0")"

sum=$(sha256sum requirements.txt | cut -c1-12)
venv=${AIS_TEST_VENV:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/ais-tests/venv-$sum}

no_venv() {
    echo "no Python environment for client tests: $1" >&2
    exit 77
}

ready() { [ -f "$venv/.complete-$sum" ] && "$venv/bin/python" -c 'import aistore, requests, xxhash' 2>/dev/null; }

command -v python3 >/dev/null || no_venv "python3 is missing"
if ! ready; then
    mkdir -p "$(dirname "$venv")"
    exec 9>"$venv.lock"
    flock -w 300 9 || no_venv "$venv.lock is held by somebody else"
    if ! ready; then
        python3 -m venv --clear "$venv" >"$venv.log" 2>&1 || no_venv "python3 -m venv fails: $(tail -1 "$venv.log")"
        timeout 240 "$venv/bin/pip" install --disable-pip-version-check -q -r requirements.txt >"$venv.log" 2>&1 ||
            no_venv "pip cannot install requirements.txt: $(tail -1 "$venv.log")"
        touch "$venv/.complete-$sum"
    fi
    exec 9>&-
fi
echo "$venv/bin/python"

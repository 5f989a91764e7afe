#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The published AIStore Python SDK and plain HTTP against a cluster of our own: sdk_*_cases.py, run by sdk_run.py.
set -euo pipefail
cd "$(dirname "$0")"
python=$(./venv.sh 2>&1) || {
    rc=$?
    echo "$python"
    exit $rc
}
exec "$python" -B sdk_run.py "$@"

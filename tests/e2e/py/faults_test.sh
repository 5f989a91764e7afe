#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Faults that need more than one connection or a dying process: many idle connections, clients that stop or vanish, kill -9 in the
# middle of PUTs. See faults_test.py.
set -euo pipefail
cd "$(dirname "$0")"
exec python3 faults_test.py "$@"

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Objects that move between targets while clients use them, against real processes. See rebalance_test.py.
set -euo pipefail
cd "$(dirname "$0")"
exec python3 rebalance_test.py "$@"

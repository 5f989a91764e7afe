#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Another primary: killed, stopped, asked for, recovered. See failover_test.py. AIS_FAILOVER_KILLS: kill -9 of the primary so often (4).
set -euo pipefail
cd "$(dirname "$0")"
exec python3 failover_test.py "$@"

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Jobs and the information centre, on three proxies and three targets. See job_test.py.
set -euo pipefail
cd "$(dirname "$0")"
exec python3 job_test.py "$@"

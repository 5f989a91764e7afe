#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The ais command, as people and scripts use it, against a cluster of our own. See cli_test.py.
set -euo pipefail
cd "$(dirname "$0")"
exec python3 cli_test.py "$@"

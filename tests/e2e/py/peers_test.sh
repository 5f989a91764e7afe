#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Who is a node: authentication between nodes, and what one says to another, against real processes. See peers_test.py.
set -euo pipefail
cd "$(dirname "$0")"
exec python3 peers_test.py "$@"

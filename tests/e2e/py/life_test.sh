#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Nodes come and go while clients read. See life_test.py.
set -euo pipefail
cd "$(dirname "$0")"
exec python3 life_test.py "$@"

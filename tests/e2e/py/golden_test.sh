#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What a real AIStore 5.0 answered (tests/golden/wire), asked of our own cluster. See golden_replay.py.
set -euo pipefail
cd "$(dirname "$0")"
exec python3 golden_replay.py "$@"

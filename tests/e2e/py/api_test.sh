#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The native API, statement by statement, against our own cluster: what no recording of a real AIStore shows. See api_test.py.
set -euo pipefail
cd "$(dirname "$0")"
exec python3 api_test.py "$@"

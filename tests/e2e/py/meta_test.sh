#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Cluster metadata under kill -9, restarts and bad circumstances, against our own cluster. See meta_test.py.
set -euo pipefail
cd "$(dirname "$0")"
exec python3 meta_test.py "$@"

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Mountpaths that are attached, detached, enabled and disabled under load, and a target that is killed meanwhile. See mountpath_test.py.
set -euo pipefail
cd "$(dirname "$0")"
exec python3 mountpath_test.py "$@"

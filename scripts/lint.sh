#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Cheap rules that the compiler does not know: SPDX lines, functions we do not use, tests that sleep, words left behind.
set -uo pipefail
cd "$(dirname "$0")/.."
bad=0
say() { printf 'lint: %s\n' "$*" >&2; bad=1; }

while IFS= read -r f; do
    head -5 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || say "$f: no SPDX line"
done < <(git ls-files '*.c' '*.h' '*.def' '*.S' '*.sh' '*.py' '*.cmake' '*.vtc' 'CMakeLists.txt' '*/CMakeLists.txt' .ci/run)

rows=$(git grep -nE '\b(strcpy|strcat|sprintf|gets|strtok|atoi|atol|alloca)[[:space:]]*\(' -- '*.c' '*.h' || true)
[ -z "$rows" ] || say "forbidden functions:"$'\n'"$rows"
rows=$(git grep -nE '\b(sleep|usleep|nanosleep)[[:space:]]*\(|time\.sleep' -- tests | grep -v 'lint: condition loop' || true)
[ -z "$rows" ] || say "tests that sleep instead of waiting for a condition:"$'\n'"$rows"
rows=$(git grep -nE '\b(TODO|FIXME|XXX)\b' -- '*.c' '*.h' '*.sh' '*.py' ':!scripts/lint.sh' || true)
[ -z "$rows" ] || say "left behind:"$'\n'"$rows"
[ "$bad" = 0 ] && echo "lint: ok"
exit "$bad"

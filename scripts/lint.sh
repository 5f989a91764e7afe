#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Cheap rules that the compiler does not know: SPDX lines, functions we do not use, tests that sleep, empty corpora,
# words left behind.
set -uo pipefail
cd "$(dirname "$0")/.."
bad=0
say() { printf 'lint: %s\n' "$*" >&2; bad=1; }
rule() { # WHAT ROWS
    [ -z "$2" ] || say "$1:"$'\n'"$2"
}

# C files named on standard input that match the pattern, as file:line: text; comments and literals do not count.
grep_code() { # PERL-PATTERN
    PATTERN=$1 perl -e '
        while (my $f = <STDIN>) {
            chomp $f;
            open(my $h, "<", $f) or next;
            local $/;
            my $t = <$h>;
            $t =~ s{("(?:\\.|[^"\\\n])*"|\x27(?:\\.|[^\x27\\\n])*\x27|/\*.*?\*/|//[^\n]*)}{ my $s = $1; $s =~ s/[^\n]/ /g; $s }gse;
            my $n = 0;
            for my $line (split /\n/, $t) {
                $n++;
                print "$f:$n: $line\n" if $line =~ /$ENV{PATTERN}/;
            }
        }'
}

while IFS= read -r f; do
    head -5 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || say "$f: no SPDX line"
done < <(git ls-files '*.c' '*.h' '*.def' '*.S' '*.sh' '*.py' '*.cmake' '*.vtc' 'CMakeLists.txt' '*/CMakeLists.txt' .ci/run)

rule "forbidden functions" "$(git ls-files '*.c' '*.h' | grep_code '\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|alloca)\s*\(')"
rule "tests that sleep instead of waiting for a condition" \
    "$(git ls-files 'tests/*.c' 'tests/*.h' | grep_code '\b(sleep|usleep|nanosleep)\s*\(')$(
        git grep -nE '(^|[^a-z_])sleep [0-9]|time\.sleep|^[[:space:]]*delay ' -- 'tests/*.sh' 'tests/*.py' 'tests/*.vtc' |
            grep -vE 'lint: condition loop|time\.sleep\(0\.0|sleep 0\.[0-9]+ *(;|$)')"
rule "left behind" "$(git grep -nE '\b(TODO|FIXME|XXX)\b' -- '*.c' '*.h' '*.sh' '*.py' '*.vtc' ':!scripts/lint.sh')"
rule "empty seeds" "$(git ls-files 'tests/fuzz/*/corpus/*' | while IFS= read -r f; do [ -s "$f" ] || echo "$f"; done)"
rule "fuzz targets without seeds" "$(git ls-files 'tests/fuzz/*_fuzz.c' | while IFS= read -r f; do
    d=$(dirname "$f")/corpus/$(basename "$f" _fuzz.c)
    [ -n "$(git ls-files "$d")" ] || echo "$f: nothing in $d"
done)"
rule "shell scripts that bash does not parse" "$(git ls-files '*.sh' .ci/run | while IFS= read -r f; do bash -n "$f" 2>&1; done)"
[ "$bad" = 0 ] && echo "lint: ok"
exit "$bad"

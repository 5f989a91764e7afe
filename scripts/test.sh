#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The project's test command. Without an argument: everything that CI runs.
#
#   scripts/test.sh [tier...]
#
#   lint       cheap rules (scripts/lint.sh)
#   unit       cmocka programs under ASan+UBSan; run, net and core again under TSan; store and run again as released
#   fuzz       every parser for AIS_FUZZ_SECONDS (default 5) seconds from its corpus
#   scenario   varnishtest files against real processes
#   clients    golden exchanges, adopted disks, the published Python and Go clients against a real 1+3 cluster
#   sim        whole clusters on virtual time, AIS_SIM_SEEDS (default 150) seeds from AIS_SIM_SEED (default 1) on
#   torture    kill -9, full disks, cut connections; AIS_TORTURE_SECONDS (default 30)
#
# A test that cannot run here is counted as skipped, with its reason. The last line is "N passed, N failed, N skipped".
set -uo pipefail
cd "$(dirname "$0")/.."
top=$PWD

jobs=$(nproc)
logdir=${AIS_TEST_LOGS:-$(mktemp -d /tmp/ais-test.XXXXXX)}
mkdir -p "$logdir"
passed=0 failed=0 skipped=0
failures=()

pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); failures+=("$1"); printf 'FAIL  %s\n' "$1"; [ -z "${2:-}" ] || tail -n "${3:-40}" "$2" | sed 's/^/    | /'; }
skip() { skipped=$((skipped + 1)); printf 'SKIP  %s: %s\n' "$1" "$2"; }
head1() { printf '\n== %s (%ss so far)\n' "$1" "$SECONDS"; }

# run NAME LOG COMMAND...: one test; exit 77 means skipped, with the reason as the last line printed.
run() {
    local name=$1 log=$2
    shift 2
    "$@" >"$log" 2>&1
    case $? in
    0) pass ;;
    77) skip "$name" "$(tail -1 "$log")" ;;
    *) fail "$name" "$log" ;;
    esac
}

# build PRESET [target...]
build() {
    local preset=$1 log=$logdir/build-$1.log
    shift
    if ! { cmake --preset "$preset" -DAIS_WERROR=ON && cmake --build --preset "$preset" -j "$jobs" ${1:+--target "$@"}; } >"$log" 2>&1; then
        fail "build $preset" "$log" 60
        return 1
    fi
}

# The programs are found by their sources: one that was not built is a failure, one that is left over is not run.
unit_in() { # PRESET DIR LAYERS...
    local preset=$1 dir=$2 l t n since
    shift 2
    for l in "$@"; do
        for t in tests/unit/"$l"/*_test.c; do
            [ -e "$t" ] || continue
            n=${l}_$(basename "$t" .c)
            since=$SECONDS
            run "unit/$preset/$n" "$logdir/$preset-$n.log" timeout -k 5 300 "$dir/unit/unit_$n"
            [ $((SECONDS - since)) -lt 20 ] || printf -- '-- %s took %s s\n' "$n" $((SECONDS - since))
        done
    done
}

layers=(base codec run net store core lso xact target proxy cli)
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=0:abort_on_error=0}
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$top/tests/lsan.supp:print_suppressions=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1:suppressions=$top/tests/tsan.supp}

tier_lint() {
    head1 lint
    run lint "$logdir/lint.log" scripts/lint.sh
}

tier_unit() {
    head1 "unit: ASan + UBSan"
    build asan && unit_in asan build-asan "${layers[@]}"
    head1 "unit: TSan"
    build tsan && unit_in tsan build-tsan run net core store xact
    head1 "unit: release"
    build release && unit_in release build run store
}

# One parser: its seeds first, what once crashed it among them, then new inputs. libFuzzer's own exit code for a crash would be 77.
fuzz_one() { # LAYER NAME SECONDS
    local log=$logdir/fuzz-$1-$2.log corpus=$logdir/corpus-$1-$2
    mkdir -p "$corpus"
    timeout -k 5 $(($3 + 120)) "build-asan/fuzz/fuzz_$1_$2_fuzz" -max_total_time="$3" -timeout=20 -rss_limit_mb=2048 -error_exitcode=1 \
        -timeout_exitcode=1 -artifact_prefix="$logdir/$1-$2-" "$corpus" "tests/fuzz/$1/corpus/$2" >"$log" 2>&1
    echo $? >"$log.rc"
}

tier_fuzz() {
    local f l n secs=${AIS_FUZZ_SECONDS:-5} started=0 all=()
    head1 "fuzz: $secs s a parser, $jobs at a time"
    build asan || return
    for f in tests/fuzz/*/*_fuzz.c; do
        l=$(basename "$(dirname "$f")")
        n=$(basename "$f" _fuzz.c)
        all+=("$l-$n")
        fuzz_one "$l" "$n" "$secs" &
        started=$((started + 1))
        [ "$started" -lt "$jobs" ] || { wait -n; started=$((started - 1)); }
    done
    wait
    for n in "${all[@]}"; do
        if [ "$(cat "$logdir/fuzz-$n.log.rc")" = 0 ]; then pass; else fail "fuzz/${n/-//}" "$logdir/fuzz-$n.log"; fi
    done
}

# Scripts print lines "ok NAME", "not ok NAME: why" and "skip NAME: why"; we count those.
tap() { # PREFIX LOG COMMAND...
    local prefix=$1 log=$2 line rc any=0
    shift 2
    "$@" >"$log" 2>&1
    rc=$?
    while IFS= read -r line; do
        case $line in
        "ok "*) pass; any=1 ;;
        "not ok "*) fail "$prefix/${line#not ok }"; any=1 ;;
        "skip "*) skip "$prefix/${line#skip }" ""; any=1 ;;
        esac
    done <"$log"
    if [ "$rc" = 77 ]; then
        skip "$prefix" "$(tail -1 "$log")"
    elif [ "$any" = 0 ] || { [ "$rc" != 0 ] && ! grep -q '^not ok ' "$log"; }; then
        fail "$prefix (exit $rc)" "$log"
    fi
}

# With the programs of build-asan: what any of their processes reports, however it ended, is a failure.
sanitized() { # NAME COMMAND...
    local name=$1 f
    shift
    AIS_BUILD=$top/build-asan ASAN_OPTIONS=$ASAN_OPTIONS:log_path=$logdir/$name.report \
        UBSAN_OPTIONS=$UBSAN_OPTIONS:log_path=$logdir/$name.report "$@"
    for f in "$logdir/$name".report.*; do
        [ ! -s "$f" ] || fail "$name: sanitizer report" "$f" 60
    done
}

tier_scenario() {
    head1 "scenario: ASan + UBSan"
    build asan || return
    sanitized scenario tap scenario "$logdir/scenario.log" timeout -k 10 900 tests/e2e/vtc/run.sh tests/e2e/vtc/*.vtc
}

tier_clients() {
    head1 "clients: ASan + UBSan"
    build asan || return
    local t
    for t in tests/e2e/py/*_test.sh tests/e2e/go/*_test.sh; do
        [ -e "$t" ] || continue
        printf -- '-- %s (%ss so far)\n' "$(basename "$t")" "$SECONDS"
        sanitized "$(basename "$t" _test.sh)" tap "clients/$(basename "$t" _test.sh)" "$logdir/$(basename "$t").log" timeout -k 10 1200 "$t"
    done
}

tier_sim() {
    local seeds=${AIS_SIM_SEEDS:-150} first=${AIS_SIM_SEED:-1}
    head1 "sim: seeds $first to $((first + seeds - 1))"
    build release || return
    tap sim/symbols "$logdir/sim-symbols.log" tests/sim/symbols_test.sh build
    run sim/twice "$logdir/sim-twice.log" timeout -k 5 120 build/sim/sim --seed "$first" --count 5 --jobs "$jobs" --twice
    run sim/seeds "$logdir/sim-seeds.log" timeout -k 5 900 build/sim/sim --seed "$first" --count "$seeds" --jobs "$jobs"
    tail -1 "$logdir/sim-seeds.log"
}

tier_torture() {
    head1 torture
    build release && build asan || return
    local t
    for t in tests/torture/*_test.sh; do
        [ -e "$t" ] || continue
        tap "torture/$(basename "$t" _test.sh)" "$logdir/$(basename "$t").log" timeout -k 10 900 "$t"
    done
}

tiers=("$@")
[ ${#tiers[@]} -gt 0 ] || tiers=(lint unit fuzz scenario clients sim torture)
for t in "${tiers[@]}"; do
    declare -F "tier_$t" >/dev/null || {
        echo "test: unknown tier '$t'; there are: lint unit fuzz scenario clients sim torture" >&2
        exit 2
    }
done

scripts/deps.sh test || exit 1
times=
for t in "${tiers[@]}"; do
    since=$SECONDS
    "tier_$t"
    times+=" $t $((SECONDS - since))"
done

printf '\nlogs: %s\nseconds:%s, all %s\n' "$logdir" "$times" "$SECONDS"
for f in "${failures[@]}"; do
    printf 'FAILED %s\n' "$f"
done
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs tests and counts them. Called by make: `tests/run.sh check`, `test` or `fuzz`. The last line is the count; a test
# that fails is printed with its output, one that cannot be run with the reason. Running nothing is a failure.
#
# Unit programs:  build/CONFIG/tests/unit/test_* (cmocka, TAP). Names test_slow_* are left out of `check`.
# Shell tests:    tests/cli/*.sh, run with bash from the root of the project; slow_*.sh are left out of `check`. They get
#                 DYDIT (the program), BUILD (its folder) and TEST_TMP (an empty folder), both absolute, and print lines
#                 `ok - NAME`, `not ok - NAME`, `skip - NAME # REASON`, `note - TEXT` (printed as it is). A line
#                 `# sanitize: yes` marks those that run under sanitizers too.
# Kernels:        build/CONFIG/tests/checkkernel: quick cases in `check` and, the smaller ones, under sanitizers; all, and
#                 mutants, in `test`.
# Fuzz drivers:   build/asan/tests/fuzz/fuzz_NAME tests/fuzz/corpus/NAME/*
# Emulator:       tests/emu/run.sh runs CUDA kernels on the CPU and builds what it needs; prints what a shell test prints.
# CUDA backend:   tests/emu/backend.sh runs goldens, the demo model and failures on `--backend emu`; graph.sh looks at its
#                 CUDA graphs, engine.sh at GEMMs by what stands in for cuBLASLt, and at `dydit tune`, cudnn.sh at convolutions by what
#                 stands in for cuDNN.
# Profilers:      tests/emu/nvtx/run.sh, what they see of that backend.
# GPU check:      tests/emu/gpu_check.sh runs scripts/gpu_check.sh on the emulator.
# CUDA kernels:   tests/checkkernel/device/run.sh and mma.sh, the same on the emulator; mutants.sh beside them plants faults
#                 in them; kernels.sh prints what all of these and the backend have executed, which must be every kernel
#                 of the tree (EMU_KERNELS); static.sh holds their machine code against the budgets in the sources.
#                 All these run beside the rest, once the release build is there.
# Examples:       build/release/examples/NAME; run if a comment in the source says `check-args: ...` ({tmp}: empty folder).
set -u
cd "$(dirname "$0")/.." || exit 1

mode=${1:-check}
export DD_MAKE=${MAKE:-make} MAKE=$PWD/tests/make_alone.sh
make=$MAKE
limit=${TEST_TIMEOUT:-900} # seconds for one program
tsan_units=${TSAN_UNITS:-test_*thread* test_base test_kernels_cpu* test_plugin test_session test_run* test_golden_forward}
softisa_units=${SOFTISA_UNITS:-test_kernels_bf16* test_kernels_amx* test_kernels_cpu* test_golden_*}

passed=0 failed=0 skipped=0
took=0 # seconds that the last program ran; printed from 2 on
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

# detect_stack_use_after_return is left at the compiler's default: asked for, gcc 12 keeps 64-byte vectors at misaligned
# places of its fake stack and the program dies.
export ASAN_OPTIONS=${ASAN_OPTIONS:-allocator_may_return_null=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1}

# record NAME PASSED FAILED SKIPPED [LOG]
record() {
    local time=
    passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
    [ "$took" -lt 2 ] || time=" $took s"
    took=0
    if [ "$3" -gt 0 ]; then
        printf 'FAIL  %s (%d of %d)%s\n' "$1" "$3" $(($2 + $3 + $4)) "$time"
        [ -z "${5-}" ] || tail -n 200 "$5" | sed 's/^/      | /'
    else
        printf 'ok    %s (%d)%s\n' "$1" $(($2 + $4)) "$time"
    fi
}

skip() { # NAME REASON
    skipped=$((skipped + 1)) took=0
    printf 'skip  %s: %s\n' "$1" "$2"
}

# Tests do not inherit the job server or the configuration line of make.
clean_env() { env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES -u DD_CONFIG_SHOWN -u CONFIG "$@"; }

count() { grep -c -E "$1" "$log"; }

# run NAME COMMAND...: output in $log, exit status in $status
run() {
    local began=$SECONDS
    log=$tmp/log
    status=0
    rm -rf "$tmp/work" && mkdir "$tmp/work"
    TEST_TMP=$tmp/work clean_env timeout "$limit" "${@:2}" >"$log" 2>&1 </dev/null || status=$?
    took=$((SECONDS - began))
    [ "$status" != 124 ] || echo "stopped after $limit s" >>"$log"
}

# A command that is one test by itself. 77: skipped, the last line of output says why.
one() {
    run "$@"
    case $status in
    0) record "$1" 1 0 0 ;;
    77) skip "$1" "$(tail -n 1 "$log")" ;;
    *) record "$1" 0 1 0 "$log" ;;
    esac
}

unit_program() { # NAME PROGRAM
    local ok bad skips planned
    CMOCKA_MESSAGE_OUTPUT=TAP run "$@"
    ok=$(count '^ok [0-9]') skips=$(count '^not ok [0-9]+ # SKIP')
    bad=$(($(count '^not ok [0-9]') - skips))
    planned=$(sed -n 's/^1\.\.\([0-9][0-9]*\)$/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
    # Those announced but never reported count as failed; so does a program that fails without naming a test.
    if [ "$planned" -gt $((ok + bad + skips)) ]; then
        echo "stopped early, exit status $status: $planned tests announced, $((ok + bad + skips)) reported" >>"$log"
        bad=$((planned - ok - skips))
    fi
    if [ "$status" != 0 ] && [ "$bad" = 0 ] || [ $((ok + bad + skips)) = 0 ]; then
        bad=$((bad + 1))
        echo "exit status $status after $ok passed tests of $planned" >>"$log"
    fi
    record "$1" "$ok" "$bad" "$skips" "$log"
    # cmocka has no reasons: a test prints one line before it skips itself.
    awk -v p="$1" '/^not ok [0-9]+ # SKIP/ { sub(/^not ok [0-9]+ # SKIP /, ""); if (last ~ /^(ok|not ok|1[.][.])/) last = "no reason given"; sub(/^# */, "", last); print "skip  " p ", " $0 ": " last }
        { last = $0 }' "$log"
}

# Cases that an implementation does not offer are not tests; one that cannot run here at all is a skipped one.
checkkernel() { # NAME PROGRAM OPTIONS...
    local ok bad
    run "$@"
    if [ "$status" = 77 ]; then
        skip "$1" "$(sed -n 's/^SKIP  *all of //p' "$log" | paste -sd ';')"
        return
    fi
    read -r ok bad < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, [0-9]* skipped$/\1 \2/p' "$log" | tail -n 1)
    if [ "$status" != 0 ] && [ "${bad:-0}" = 0 ] || [ -z "${ok-}" ]; then
        bad=$((${bad:-0} + 1))
        echo "exit status $status after ${ok:-0} passed cases" >>"$log"
    fi
    record "$1" "${ok:-0}" "$bad" 0 "$log"
    while IFS= read -r line; do skip "$1" "$line"; done < <(sed -n 's/^SKIP  *all of //p' "$log")
}

shell_test() { # NAME SCRIPT CONFIG
    local ok bad skips
    DYDIT=$PWD/build/$3/dydit BUILD=$PWD/build/$3 run "$1" bash "$2"
    ok=$(count '^ok - ') bad=$(count '^not ok - ') skips=$(count '^skip - ')
    if [ "$status" != 0 ] && [ "$bad" = 0 ] || [ $((ok + bad + skips)) = 0 ]; then
        bad=$((bad + 1))
        echo "exit status $status after $ok passed tests" >>"$log"
    fi
    record "$1" "$ok" "$bad" "$skips" "$log"
    sed -n "s|^skip - \(.*[^ ]\) *# *|skip  $1, \1: |p; s|^note - |      |p" "$log"
}

# build CONFIG TARGETS...: a build that fails is one failed test.
build() {
    "$make" --no-print-directory CONFIG="$1" "${@:2}" && return 0
    record "build of $1" 0 1 0
    return 1
}

# sources GLOB...: those that exist
sources() {
    local f
    for f in "$@"; do [ ! -f "$f" ] || printf '%s\n' "$f"; done
}

sanitized() { sources "$@" | xargs -r grep -l '^# sanitize: yes'; }

units() { # CONFIG SOURCES...
    local s
    for s in "${@:2}"; do unit_program "$1/$(basename "$s" .c)" "build/$1/${s%.c}"; done
}

shells() { # CONFIG SCRIPTS...
    local s
    for s in "${@:2}"; do shell_test "$1/$(basename "$s")" "$s" "$1"; done
}

static_checks() {
    one "include directions" scripts/layers.sh
    one "include directions, self-test" scripts/layers.sh --self-test
    one "format" scripts/format.sh --check
}

fuzz_regression() {
    local s name inputs
    for s in $(sources tests/fuzz/fuzz_*.c); do
        name=$(basename "$s" .c)
        mapfile -t inputs < <(find "tests/fuzz/corpus/${name#fuzz_}" -type f 2>/dev/null | sort)
        if [ "${#inputs[@]}" = 0 ]; then
            echo "no inputs in tests/fuzz/corpus/${name#fuzz_}" >"$tmp/log"
            record "fuzz/$name" 0 1 0 "$tmp/log"
        else
            one "fuzz/$name, ${#inputs[@]} inputs" "build/asan/${s%.c}" "${inputs[@]}"
        fi
    done
}

examples() {
    local s args
    for s in $(sources examples/*.c); do
        args=$(sed -n 's/.*check-args: *\(.*[^ *\/]\)[ *\/]*$/\1/p' "$s" | head -n 1)
        if [ -z "$args" ]; then
            record "$s builds" 1 0 0
        else
            # shellcheck disable=SC2086 # words
            one "$s" "build/release/${s%.c}" ${args//\{tmp\}/$tmp/work}
        fi
    done
}

# Can this compiler build such a program, and does it run here?
sanitizer_works() { # FLAGS
    echo 'int main(void) { return 0; }' >"$tmp/probe.c"
    ${CC:-cc} "$1" -o "$tmp/probe" "$tmp/probe.c" >"$tmp/log" 2>&1 && "$tmp/probe" >>"$tmp/log" 2>&1
}

under_asan() { # also runs the fuzz corpus
    if ! sanitizer_works -fsanitize=address,undefined; then
        skip "asan" "address,undefined do not work here: $(head -n 1 "$tmp/log")"
        return
    fi
    build asan "${@}" || return
    [ "$mode" = fuzz ] || {
        mapfile -t list < <(sources tests/unit/test_*.c)
        units asan "${list[@]}"
        checkkernel "asan/checkkernel" build/asan/tests/checkkernel --quick --most=300000
        mapfile -t list < <(sanitized tests/cli/*.sh)
        shells asan "${list[@]}"
    }
    fuzz_regression
}

under_tsan() {
    local p
    if ! sanitizer_works -fsanitize=thread; then
        skip "tsan" "thread does not work here: $(head -n 1 "$tmp/log")"
        return
    fi
    list=()
    for p in $tsan_units; do mapfile -t -O "${#list[@]}" list < <(compgen -G "tests/unit/$p.c"); done
    if [ "${#list[@]}" = 0 ]; then
        skip "tsan" "no unit program is named $tsan_units"
        return
    fi
    mapfile -t list < <(printf '%s\n' "${list[@]}" | sort -u)
    programs=("${list[@]/#/build/tsan/}")
    build tsan "${programs[@]%.c}" build/tsan/tests/checkkernel || return
    # The loops of `ref` are those of one thread.
    export DYDIT_TEST_BACKEND=cpu
    units tsan "${list[@]}"
    unset DYDIT_TEST_BACKEND
    checkkernel "tsan/checkkernel" build/tsan/tests/checkkernel --quick \
        --impl=cpu_avx2,cpu_avx512bf16,cpu_amx # the division of work is shared, and tsan is slow
}

# Where the CPU lacks instructions of bf16, their kernels run on statements that do the same.
under_softisa() {
    local there p
    there=$(build/release/dydit info --backend cpu | sed -n 's/^isas  *//p')
    case $there in
    *avx512bf16*amx*) skip "softisa" "this CPU has what it emulates"; return ;;
    *avx512*) ;;
    *) skip "softisa" "emulates on AVX-512 only; this CPU has $there"; return ;;
    esac
    list=()
    for p in $softisa_units; do mapfile -t -O "${#list[@]}" list < <(compgen -G "tests/unit/$p.c"); done
    programs=("${list[@]/#/build/softisa/}")
    build softisa "${programs[@]%.c}" build/softisa/tests/checkkernel || return
    units softisa "${list[@]}"
    checkkernel "softisa/checkkernel" build/softisa/tests/checkkernel --full --impl=cpu_avx512bf16,cpu_amx
}

# All that takes nvcc, with the builds it needs beyond those for the rest.
cuda_parts() {
    local began=$SECONDS
    shell_test "emulator" tests/emu/run.sh release
    export EMU_KERNELS=$tmp/kernels
    shell_test "CUDA kernels" tests/checkkernel/device/run.sh release
    shell_test "tensor-core kernels" tests/checkkernel/device/mma.sh release
    shell_test "backend emu" tests/emu/backend.sh release
    shell_test "CUDA graphs" tests/emu/graph.sh release
    shell_test "engines" tests/emu/engine.sh release
    shell_test "cuDNN" tests/emu/cudnn.sh release
    shell_test "profilers" tests/emu/nvtx/run.sh release
    shell_test "gpu check" tests/emu/gpu_check.sh release
    shell_test "CUDA kernels, executed" tests/checkkernel/device/kernels.sh release
    unset EMU_KERNELS
    shell_test "CUDA kernels, machine code" tests/checkkernel/device/static.sh release
    # Last, when the rest has come to its end or soon will: it uses all CPUs.
    shell_test "CUDA kernels, planted faults" tests/checkkernel/device/mutants.sh release
    printf 'CUDA parts: %d s\n' $((SECONDS - began))
}

# They and the rest use one CPU for much of the time, so both go on beside each other; what they print comes last. Without
# flock, which keeps their builds apart (make_alone.sh), they come last themselves.
beside=''
start_cuda_parts() {
    command -v flock >/dev/null || return
    mkdir "$tmp/beside"
    (
        tmp=$tmp/beside passed=0 failed=0 skipped=0
        cuda_parts
        echo "$passed $failed $skipped" >"$tmp/counts"
    ) >"$tmp/cuda_parts" 2>&1 &
    beside=$!
    trap 'kill $beside 2>/dev/null; wait $beside; rm -rf "$tmp"' EXIT
}

finish_cuda_parts() {
    local p f s
    [ -n "$beside" ] || { cuda_parts; return; }
    wait "$beside"
    cat "$tmp/cuda_parts"
    if read -r p f s 2>/dev/null <"$tmp/beside/counts"; then
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    else
        record "CUDA parts, which ended before their end" 0 1 0
    fi
}

finish() {
    [ $((passed + failed)) -gt 0 ] || { echo "no test was run"; failed=1; }
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" = 0 ] || exit 1
    exit 0
}

config=${CONFIG:-release}
case $mode in
check)
    static_checks
    build "$config" all unit-fast || finish
    mapfile -t list < <(sources tests/unit/test_*.c | grep -v '/test_slow_')
    units "$config" "${list[@]}"
    checkkernel "$config/checkkernel" "build/$config/tests/checkkernel" --quick
    mapfile -t list < <(sources tests/cli/*.sh | grep -v '/slow_')
    case $config in asan | tsan) mapfile -t list < <(sanitized "${list[@]}") ;; esac
    shells "$config" "${list[@]}"
    ;;
test)
    static_checks
    built=
    build release all unit examples && built=1
    start_cuda_parts
    if [ -n "$built" ]; then
        mapfile -t list < <(sources tests/unit/test_*.c)
        units release "${list[@]}"
        checkkernel "release/checkkernel" build/release/tests/checkkernel --full --impl='cpu_a*'
        checkkernel "release/checkkernel, portable" build/release/tests/checkkernel --quick --impl=ref,cpu_portable
        checkkernel "release/checkkernel, mutants" build/release/tests/checkkernel --mutants
        mapfile -t list < <(sources tests/cli/*.sh)
        shells release "${list[@]}"
        examples
    fi
    under_softisa
    under_asan cli unit fuzzers
    under_tsan
    finish_cuda_parts
    ;;
fuzz) under_asan fuzzers ;;
*) echo "usage: tests/run.sh check|test|fuzz" >&2; exit 2 ;;
esac
finish

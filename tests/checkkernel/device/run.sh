#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The CUDA kernels under the emulator: every op against the reference, threads in several orders, and a few cases under
# sanitizers, of which that of threads finds missing barriers. Run by tests/run.sh in `test` mode as one shell test, or by
# hand; prints `ok - NAME`, `not ok - NAME`, `skip - NAME # REASON`.
set -u
cd "$(dirname "$0")/../../.." || exit 1
make=${MAKE:-make}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
export TSAN_OPTIONS=halt_on_error=1 ASAN_OPTIONS=

skip() { printf 'skip - %s # %s\n' "$1" "$2"; }

scripts/nvcc.sh >/dev/null 2>"$tmp/why" || { skip "CUDA kernels" "$(cat "$tmp/why")"; exit 0; }
for tool in "${PYTHON:-python3}" "${CXX:-g++}"; do
    command -v "$tool" >/dev/null 2>&1 || { skip "CUDA kernels" "$tool is missing"; exit 0; }
done

build() { # CONFIG
    "$make" --no-print-directory CONFIG="$1" "build/$1/emu/checkkernel" "build/$1/emu/test_pack" \
        "build/$1/emu/test_refuse" >"$tmp/build" 2>&1 && return 0
    printf 'not ok - build of %s\n' "$1"
    tail -n 20 "$tmp/build" | sed 's/^/#   /'
    return 1
}

# cases CONFIG ORDER OPS MOST (0: all): all of them must pass, and there must be some of each op
cases() {
    local status=0 name="$1, $2: $3" ops bad=
    EMU_ORDER=$2 timeout 300 "build/$1/emu/checkkernel" --impl=emu --quick --op="$3" --most="$4" >"$tmp/out" 2>&1 </dev/null ||
        status=$?
    ops=${3//,/ }
    for op in $ops; do grep -Eq "^$op +emu +[1-9][0-9]* passed" "$tmp/out" || bad="no case of $op was run"; done
    if [ "$status" = 0 ] && [ -z "$bad" ]; then
        printf 'ok - %s: %s\n' "$name" "$(tail -n 1 "$tmp/out")"
    else
        printf 'not ok - %s: exit status %s %s\n' "$name" "$status" "$bad"
        head -n 20 "$tmp/out" | sed 's/^/#   /'
    fi
}

# packing CONFIG: weights and the step counter, by a program of its own
packing() {
    local name="$1: packing on the device"
    if timeout 300 "build/$1/emu/test_pack" >"$tmp/out" 2>&1 </dev/null; then
        printf 'ok - %s: %s tests\n' "$name" "$(grep -c '       OK ' "$tmp/out")"
    else
        printf 'not ok - %s\n' "$name"
        head -n 20 "$tmp/out" | sed 's/^/#   /'
    fi
}

# refusals CONFIG [device]: what launchers refuse, and what they say when a launch fails
refusals() {
    local name="$1: what launchers refuse" status=0
    [ "${2-}" != device ] || name="$1: launches that fail"
    timeout 300 "build/$1/emu/test_refuse" ${2+"$2"} >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
    if [ "$status" = 0 ] && ! grep -q '^not ok' "$tmp/out" && grep -q '^ok' "$tmp/out"; then
        printf 'ok - %s: %s checks of %s launchers\n' "$name" "$(awk '{ n += $NF } END { print n }' "$tmp/out")" "$(grep -c '^ok' "$tmp/out")"
    else
        printf 'not ok - %s: exit status %s\n' "$name" "$status"
        cat "$tmp/out" "$tmp/err" | grep -v '^ok' | head -n 20 | sed 's/^/#   /'
    fi
}

all=$(sed -n 's/^DD_OP(\([a-z_]*\)).*/\1/p' kernels/ops.def | paste -sd ,)
together=attention,route,gemm,adaln,patch_embed # ops whose threads work together
pictures=conv2d,group_norm,pixel_attention       # likewise, of pictures
if build release; then
    packing release
    refusals release
    refusals release device
    cases release forward "$all" 0
    cases release reverse $together 100000
    cases release random $together 100000
    cases release random $pictures 20000
fi
# The random numbers are those of PyTorch only as long as they are those of cuRAND, to the bit.
if ! printf '#include <curand_kernel.h>\n' | "${NVCC:-nvcc}" -x cu -E - >/dev/null 2>&1; then
    skip "noise against cuRAND" "curand_kernel.h is missing"
elif "$make" --no-print-directory CONFIG=release build/release/emu/curand >"$tmp/out" 2>&1 &&
    build/release/emu/curand >>"$tmp/out" 2>&1; then
    printf 'ok - noise against cuRAND: %s\n' "$(tail -n 1 "$tmp/out")"
else
    printf 'not ok - noise against cuRAND\n'
    tail -n 20 "$tmp/out" | sed 's/^/#   /'
fi
echo 'int main(void) { return 0; }' >"$tmp/probe.cpp"
for config in asan tsan; do
    flag=address
    [ $config = asan ] || flag=thread
    if ! { "${CXX:-g++}" -fsanitize=$flag -o "$tmp/probe" "$tmp/probe.cpp" && "$tmp/probe"; } >/dev/null 2>&1; then
        skip "CUDA kernels, $config" "-fsanitize=$flag does not work here"
    elif build $config; then
        packing $config
        [ $config = tsan ] || refusals $config # one thread
        cases $config forward $together 40000
        cases $config forward $pictures 8000
    fi
done

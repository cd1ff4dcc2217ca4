#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The tensor-core kernels under the emulator, beyond what run.sh does: both ways in which tensor cores may add, the widths
# and limits of two architectures, all tiles of the GEMM against each other in several orders of threads and under
# sanitizers, the bank conflicts of ldmatrix, and the GEMM of Hopper, which nothing else executes. Run by tests/run.sh in
# `test` mode as one shell test, or by hand; prints `ok - NAME`, `not ok - NAME`, `skip - NAME # REASON`.
set -u
cd "$(dirname "$0")/../../.." || exit 1
make=${MAKE:-make}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
export TSAN_OPTIONS=halt_on_error=1 ASAN_OPTIONS=

scripts/nvcc.sh >/dev/null 2>"$tmp/why" || { echo "skip - tensor-core kernels # $(cat "$tmp/why")"; exit 0; }
for tool in "${PYTHON:-python3}" "${CXX:-g++}"; do
    command -v "$tool" >/dev/null 2>&1 || { echo "skip - tensor-core kernels # $tool is missing"; exit 0; }
done

build() { # CONFIG PROGRAMS
    "$make" --no-print-directory CONFIG="$1" "${@:2}" >"$tmp/build" 2>&1 && return 0
    printf 'not ok - build of %s\n' "$1"
    tail -n 20 "$tmp/build" | sed 's/^/#   /'
    return 1
}

# report NAME STATUS TEXT: one line, with what was printed where it failed
report() {
    if [ "$2" = 0 ]; then
        printf 'ok - %s: %s\n' "$1" "$3"
    else
        printf 'not ok - %s: exit status %s, %s\n' "$1" "$2" "$3"
        head -n 20 "$tmp/out" | sed 's/^/#   /'
    fi
}

# values OP CASES MOST SETTINGS...: some must pass, and ldmatrix must have been used without a conflict
values() {
    local status=0 passed conflicts
    env "${@:4}" EMU_STATS=1 timeout 300 build/release/emu/checkkernel --impl=emu --quick --op="$1" --case="*$2*" \
        --most="$3" >"$tmp/out" 2>&1 </dev/null || status=$?
    passed=$(sed -n "s/^$1 *emu *\([1-9][0-9]*\) passed.*/\1/p" "$tmp/out")
    conflicts=$(sed -n 's/.*, \([0-9]* of [1-9][0-9]* ldmatrix phases conflict\)$/\1/p' "$tmp/out")
    [ -n "$passed" ] && [ "${conflicts%% *}" = 0 ] || status=1
    report "$1, ${2#,}, ${*:4}" $status "${passed:-nothing} passed, ${conflicts:-no ldmatrix}"
}

# wgmma CONFIG CASES MOST SETTINGS...: GEMMs by the instructions of Hopper; what is launched and what is replayed have different tiles
wgmma() {
    local status=0 passed
    env EMU_ARCH=90 "${@:4}" timeout 300 "build/$1/emu/checkkernel" --impl=emu_wgmma --quick --op=gemm --case="*$2*" --most="$3" \
        >"$tmp/out" 2>&1 </dev/null || status=$?
    passed=$(sed -n 's/^gemm *emu_wgmma *\([1-9][0-9]*\) passed.*/\1/p' "$tmp/out")
    [ -n "$passed" ] || status=1
    report "wgmma, $1, ${2#,}, ${*:4}" $status "${passed:-nothing} passed"
}

tiles() { # CONFIG SETTINGS...
    local status=0
    env "${@:2}" timeout 300 "build/$1/emu/test_tiles" >"$tmp/out" 2>&1 </dev/null || status=$?
    report "tiles, $1, ${*:2}" $status "$(grep -c '^ok' "$tmp/out") of them"
}

if build release build/release/emu/{checkkernel,test_tiles,test_refuse}; then
    for cases in "gemm ,bf16- 200000" "attention ,bf16- 2000000"; do
        # shellcheck disable=SC2086 # words
        for settings in "EMU_MMA=exact EMU_ARCH=80" "EMU_MMA=truncate EMU_ARCH=80" \
            "EMU_MMA=truncate EMU_ARCH=90 EMU_ORDER=random"; do values $cases $settings; done
    done
    # The other types share that code. Split: the router's products of TF32 that make up float32.
    for cases in "gemm ,f16- 40000" "conv2d ,bf16- 200000" "attention ,f16- 400000" "gemm ,tf32- 40000" "route ,split 10000000"; do
        # shellcheck disable=SC2086 # words
        for settings in "EMU_MMA=exact EMU_ARCH=80 EMU_ORDER=random" "EMU_MMA=truncate EMU_ARCH=80"; do
            values $cases $settings
        done
    done
    for cases in ",bf16- 200000" ",f16- 40000"; do
        # shellcheck disable=SC2086 # words
        for settings in "EMU_MMA=exact EMU_ORDER=random" "EMU_MMA=truncate"; do wgmma release $cases $settings; done
    done
    EMU_ARCH=90 build/release/emu/test_refuse >"$tmp/out" 2>&1 </dev/null
    report "what launchers refuse on sm_90" $? "$(grep -c '^ok' "$tmp/out") launchers"
    for arch in 80 86 90; do tiles release EMU_MMA=truncate EMU_ARCH=$arch; done
    tiles release EMU_ORDER=reverse
    tiles release EMU_ORDER=random
fi
echo 'int main(void) { return 0; }' >"$tmp/probe.cpp"
for config in asan tsan; do
    flag=address
    [ $config = asan ] || flag=thread
    if ! { "${CXX:-g++}" -fsanitize=$flag -o "$tmp/probe" "$tmp/probe.cpp" && "$tmp/probe"; } >/dev/null 2>&1; then
        echo "skip - tensor-core kernels, $config # -fsanitize=$flag does not work here"
    elif build $config build/$config/emu/{checkkernel,test_tiles}; then
        tiles $config EMU_ORDER=forward
        wgmma $config m10,n72/24x1,k72/8,bf16-f32, 60000 EMU_ORDER=forward
    fi
done

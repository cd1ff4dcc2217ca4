#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Tests of the emulator itself. Run by tests/run.sh in `test` mode as one shell test (or by hand, from anywhere); prints
# `ok - NAME`, `not ok - NAME`, `skip - NAME # REASON`.
#
# Programs are kernels/*.cu. They run plain, in each order of threads; those named below under sanitizers too.
# kernels/bugs.cu has one bug per argument: the tables say what must come of it.
set -u
cd "$(dirname "$0")/../.." || exit 1
make=${MAKE:-make}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
export TSAN_OPTIONS=halt_on_error=1 ASAN_OPTIONS=

ok() { printf 'ok - %s\n' "$1"; }
not_ok() { # NAME [FILE with what happened]
    printf 'not ok - %s\n' "$1"
    [ -z "${2-}" ] || sed 's/^/#   /' "$2" | head -n 20
}
skip() { printf 'skip - %s # %s\n' "$1" "$2"; }

scripts/nvcc.sh >/dev/null 2>"$tmp/why" || { skip "emulator" "$(cat "$tmp/why")"; exit 0; }
for tool in "${PYTHON:-python3}" "${CXX:-g++}"; do
    command -v "$tool" >/dev/null 2>&1 || { skip "emulator" "$tool is missing"; exit 0; }
done

build() { # CONFIG PROGRAMS...
    local programs=("${@:2}")
    "$make" --no-print-directory CONFIG="$1" "${programs[@]/#/build/$1/emu/}" >"$tmp/build" 2>&1 && {
        ! grep -q 'warning:' "$tmp/build" || not_ok "$1 compiles without warnings" "$tmp/build"
        return 0
    }
    tail -n 20 "$tmp/build" >"$tmp/tail"
    not_ok "build of $1" "$tmp/tail"
    return 1
}

# program CONFIG NAME [ENV=...] [-- ARGS]: its own verdicts count; so does its exit status.
program() {
    local config=$1 name=$2 status=0 env=() text
    shift 2
    while [ $# -gt 0 ] && [ "$1" != -- ]; do env+=("$1") && shift; done
    [ $# = 0 ] || shift
    text="$config $name${1+ $*}${env[*]+ (${env[*]})}"
    env "${env[@]}" timeout 300 "build/$config/emu/$name" "$@" >"$tmp/out" 2>&1 </dev/null || status=$?
    if [ "$status" = 0 ] && ! grep -q '^not ok' "$tmp/out" && grep -q '^ok' "$tmp/out"; then
        ok "$text: $(grep -c '^ok' "$tmp/out") checks"
    else
        echo "exit status $status" >>"$tmp/out"
        not_ok "$text" "$tmp/out"
    fi
}

# caught CONFIG ORDER PROGRAM BUG REGEX: it must fail, and say so in these words
caught() {
    local status=0
    EMU_ORDER=$2 timeout 300 "build/$1/emu/$3" "$4" >"$tmp/out" 2>&1 </dev/null || status=$?
    if [ "$status" != 0 ] && grep -Eq -- "$5" "$tmp/out"; then
        ok "$1 $2: $3 $4 is caught"
    else
        echo "exit status $status, expected: $5" >>"$tmp/out"
        not_ok "$1 $2: $3 $4" "$tmp/out"
    fi
}

# ---- the translator refuses what it does not know -------------------------------------------------------------------

refuses() { # NAME INSTRUCTION REGEX
    printf '%s\n' '.version 9.0' '.target sm_80' '.address_size 64' '.visible .entry k()' '{' '.reg .b32 %r<9>;' '.reg .pred %p<3>;' \
        "$2" 'ret;' '}' >"$tmp/x.ptx"
    if "${PYTHON:-python3}" tests/emu/ptx2c.py "$tmp/x.ptx" "$tmp/x.cpp" >"$tmp/out" 2>&1; then
        not_ok "translator: $1 is refused"
    elif grep -Eq -- "$3" "$tmp/out" && ! grep -q Traceback "$tmp/out"; then
        ok "translator: $1 is refused"
    else
        not_ok "translator: $1 is refused" "$tmp/out"
    fi
}

refuses "an unknown instruction" 'frobnicate.b32 %r1, %r2;' 'PTX line 8: unsupported instruction: frobnicate.b32 %r1, %r2'
refuses "an unknown modifier" 'add.rn.u32 %r1, %r2, %r3;' 'unsupported instruction: add.rn.u32 %r1'
refuses "a missing operand" 'add.u32 %r1, %r2;' 'unsupported instruction: add.u32'
refuses "an unknown register" 'mov.u32 %r1, %x7;' 'unknown name %x7'
refuses "an unknown label" 'bra NOWHERE;' 'no label NOWHERE'
refuses "a call through a pointer" 'call %r1, (%r2);' 'calls through pointers'
refuses "a bulk copy" 'cp.async.bulk.commit_group;' 'unsupported instruction: cp.async.bulk'

# ---- plain ----------------------------------------------------------------------------------------------------------

all="ins_int ins_float ins_mem ins_warp ins_mma ins_wgmma gemm runtime bugs"
# shellcheck disable=SC2086 # words
if build release $all; then
    for p in ins_int ins_float ins_mem ins_mma; do program release $p; done
    program release ins_mma EMU_MMA=truncate -- truncate
    program release ins_mma EMU_MMA=truncate EMU_ARCH=90 -- truncate
    for order in forward reverse random; do program release ins_wgmma EMU_ARCH=90 EMU_ORDER=$order; done
    while read -r bug words; do EMU_ARCH=90 caught release random ins_wgmma "$bug" "wgmma.mma_async.*: $words"; done <<'TABLE'
no-fence no wgmma.fence between its registers being written or read and this product
no-proxy-fence thread [0-9]+ has written byte [0-9]+ of shared memory, and no fence.proxy.async lies between
overwritten what this product reads in shared memory has changed before wgmma.wait_group
no-copy-wait (what this product reads in shared memory has changed|thread [0-9]+ has written byte [0-9]+ of shared memory)
no-wait the thread ended with 1 products that nothing waited for
no-commit the thread ended with 1 products that nothing waited for
two-ways warp [0-9]+ issues this with descriptors [0-9a-f]+, [0-9a-f]+, another one of its warpgroup
misplaced descriptor [0-9a-f]+: 0x480 does not lie in the first line of a swizzle of 128 bytes
TABLE
    EMU_ARCH=89 caught release forward ins_wgmma "" 'wgmma.fence.*: the device is an sm_89: only sm_90 has it'
    program release runtime
    program release runtime EMU_STREAMS=random EMU_SEED=3
    for arch in 80 86 89 90 100 120; do program release runtime EMU_ARCH=$arch -- $arch; done
    program release runtime EMU_FATAL=error -- sticky
    program release runtime EMU_FAIL=cudaMalloc:2 -- inject
    for order in forward reverse random; do
        for p in ins_warp gemm bugs; do program release $p EMU_ORDER=$order; done
    done
    program release gemm EMU_MMA=truncate
    program release gemm -- 3
    while read -r bug words; do
        for order in forward random; do caught release $order bugs "$bug" "$words"; done
    done <<'TABLE'
shared-overrun bugs.cu:18: st.shared.f32: out of bounds shared write of 4 bytes: byte 1024 of an array of 1024
divergent-barrier bugs.cu:24: bar.sync: thread [0-9]+ ended while
divergent-warp bugs.cu:[0-9]+: bar.sync: divergent barrier: thread 40 is here|divergent barrier: thread [0-9]+ is here, others of the block wait
wrong-mask shfl.sync.bfly.b32: lane [0-9]+ of warp 0 ended while lanes|names lanes [0-9a-f]+, which have exited
off-by-one bugs.cu:17: ld.global.f32: out of bounds read of 4 bytes: 0 bytes after the end
no-syncwarp not ok - sum of a block
no-wait bugs.cu:73: cp.async.*the thread ended with 1 cp.async that nothing waited for
deadlock threads 32-63 wait at .*bugs.cu:[0-9]+: bar.sync \(barrier 2: 32 of 64 have come\)
no-event not ok - streams in order
pinned-reuse not ok - pinned memory
global-overrun bugs.cu:[0-9]+: ld.global.f32: out of bounds read of 4 bytes: 0 bytes after the end
global-underrun 4 bytes before allocation 1
misaligned ld.global.v4.u32: misaligned read of 16 bytes
misaligned-shared ld.shared.v4.u32: misaligned shared read of 16 bytes
host-pointer which is no device memory
uninitialized not ok - memory
local-overrun st.local.*off the thread's stack
use-after-free byte [0-9]+ of allocation 1 \(256 bytes\), which was freed
copy-overrun copy to device memory of 260 bytes from byte 0 of an allocation of 256
leak leak: allocation 1, 256 bytes of device memory
TABLE
    caught release forward bugs no-barrier 'not ok - sum of a block'
    caught release forward gemm 1 'not ok - gemm without a wait'
    status=0
    { build/release/emu/bugs host-access || status=$?; } >"$tmp/out" 2>&1
    [ $status = 139 ] && ok "a device pointer that the host follows is a fault" || not_ok "host access" "$tmp/out"
fi

# ---- sanitizers ------------------------------------------------------------------------------------------------------

sanitizer_works() { # FLAGS
    echo 'int main() { return 0; }' >"$tmp/probe.cpp"
    "${CXX:-g++}" "$1" -o "$tmp/probe" "$tmp/probe.cpp" >"$tmp/out" 2>&1 && "$tmp/probe" >>"$tmp/out" 2>&1
}

if ! sanitizer_works -fsanitize=address,undefined; then
    skip "asan" "address,undefined do not work here"
elif build asan ins_warp gemm bugs; then
    for order in forward reverse random; do
        for p in ins_warp gemm bugs; do program asan $p EMU_ORDER=$order; done
    done
    caught asan forward bugs local-overrun 'stack-buffer-overflow'
    grep -q 'bugs.cu:110' "$tmp/out" && ok "asan names the line" || not_ok "asan names the line" "$tmp/out"
    caught asan random bugs shared-overrun 'bugs.cu:18'
fi

# What no order of threads shows for sure: every race, with both lines, in each order.
if ! sanitizer_works -fsanitize=thread; then
    skip "tsan" "thread does not work here"
elif build tsan ins_warp gemm bugs; then
    for order in forward reverse random; do
        for p in ins_warp gemm bugs; do program tsan $p EMU_ORDER=$order; done
        caught tsan $order bugs no-barrier 'data race'
        grep -q 'bugs.cu:18' "$tmp/out" && grep -q 'bugs.cu:27' "$tmp/out" && ok "tsan names both lines" || not_ok "tsan names both lines" "$tmp/out"
        caught tsan $order bugs no-syncwarp 'data race'
        caught tsan $order gemm 1 'data race'
        caught tsan $order gemm 2 'data race'
    done
fi

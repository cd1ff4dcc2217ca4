#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The CUDA backend, host side and kernels, under the emulator: `--backend emu` as users and the library call it. Run by
# tests/run.sh in `test` mode as one shell test, or by hand; prints `ok - NAME`, `not ok - NAME`, `skip - NAME # REASON`.
#
# Goldens and sessions are the unit programs with DYDIT_TEST_BACKEND=emu: all forward passes in every precision, the
# sampling runs of ten steps; not the demo run of 50 steps, which takes minutes here.
cd "$(dirname "$0")/../.." || exit 1
. tests/emu/lib.bash
like_glyphs=$root/tests/golden/model_d128_h4_p4.safetensors # inputs of the same shape

draw() { "$dydit" sample -m "$glyphs" --precision fp32 --cfg-scale 2 -q "$@"; }

# ---- contract, goldens -----------------------------------------------------------------------------------------------

goldens() {
    local plugin=DYDIT_PLUGIN_PATH=$root/build/release t
    program "contract" "$plugin" build/release/emu/test_plugin
    program "contract, work of streams in any order" "$plugin" EMU_STREAMS=random build/release/emu/test_plugin
    program "what waits" "$plugin" EMU_FAIL=cudaStreamSynchronize:1,cudaEventSynchronize:1 build/release/emu/test_plugin waits
    for t in golden_forward golden_sampling golden_bf16 golden_policy golden_inherit golden_vae cond cache session; do
        program "$t" "$plugin" DYDIT_TEST_BACKEND=emu CMOCKA_MESSAGE_OUTPUT=TAP "build/release/tests/unit/test_$t"
    done
    program "golden_forward, threads in any order" "$plugin" DYDIT_TEST_BACKEND=emu CMOCKA_MESSAGE_OUTPUT=TAP EMU_ORDER=random \
        build/release/tests/unit/test_golden_forward
}

# ---- the demo model --------------------------------------------------------------------------------------------------

# same_picture NAME: a.png and t-a.st, b.png and t-b.st. If no token was decided otherwise, which is as if the masks were
# forced, pixels may differ by the rounding of one level; else the decisions are counted.
same_picture() {
    local flips worst
    worst=$("$tools/png_look" difference a.png b.png) || worst=256
    flips=$("$tools/st_look" differ t-a.st tokens t-b.st tokens) || flips=none
    case $flips in
    '0 of '[1-9]*) [ "$worst" -le 1 ] ; verdict $? "$1: pixels differ by $worst at most, $flips token decisions" ;;
    *) awk -v n="${flips% of *}" -v of="${flips#* of }" -v w="$worst" 'BEGIN { exit !(w < 256 && of > 0 && 1000 * n <= of) }'
        verdict $? "$1: $flips token decisions differ, pixels by up to $worst" ;;
    esac
}

letters() { # NAME FLAGS...
    run "$1 on cpu" draw --backend cpu -o a.png --trajectory-out t-a.st "${@:2}"
    run "$1 on emu" draw --backend emu -o b.png --trajectory-out t-b.st "${@:2}"
    same_picture "$1, cpu and emu"
}

# distance FILE FILE: the largest difference of two outputs
distance() { "$tools/st_look" compare "$1" out "$2" out inf | sed 's/^largest difference \([^ ]*\) .*/\1/'; }

# Forced masks. In fp32 within 1e-5, as the goldens; the largest output is above 1. In fewer bits the reference rounds where
# emu does, so both lie at the same distance from fp32; the largest of some thousand differences scatters by less than a factor
# of 2, a wrong op is off by more.
forced_masks() {
    local p f e32 reference own
    local eval=("$dydit" eval -m "$glyphs" -i "$like_glyphs" --in-prefix golden. -q)
    run "reference, fp32" "${eval[@]}" --backend ref --precision fp32 --trace -o trace.st
    "$tools/st_edit" trace.st masks.st rename tokens golden.tokens || not_ok "the masks are renamed"
    for p in fp32 bf16 fp16 tf32; do
        for f in ref emu; do
            run "$f, $p, masks forced" "${eval[@]}" --backend $f --precision $p --token-masks masks.st -o $f-$p.st
        done
    done
    e32=$(distance ref-fp32.st emu-fp32.st)
    awk -v e="$e32" 'BEGIN { exit !(e != "" && e <= 1e-5) }'
    verdict $? "forced masks, fp32: off by $e32"
    for p in bf16 fp16 tf32; do
        reference=$(distance ref-fp32.st ref-$p.st) own=$(distance ref-fp32.st emu-$p.st)
        awk -v r="$reference" -v e="$own" 'BEGIN { exit !(r > 0 && e <= 2 * r && e >= r / 2) }'
        verdict $? "forced masks, $p: $own from fp32, the reference $reference"
    done
}

# ---- failures --------------------------------------------------------------------------------------------------------

tiny() { "$dydit" sample -m "$small" --backend emu --precision fp32 -l 1,2 --steps 4 -q "$@"; }

# fails_well FAILURES: EMU_FAIL; one sentence, exit status 3 or 4, nothing left. 1: the run succeeded.
fails_well() {
    local status=0
    EMU_FAIL=$1 tiny --latents-out x.st >"$tmp/out" 2>&1 </dev/null || status=$?
    sed -i '/^emu: .* fails as asked by EMU_FAIL$/d' "$tmp/out"
    if [ $status = 0 ]; then
        rm -f x.st
        return 1
    fi
    [ $status = 3 ] || [ $status = 4 ] || return 2
    [ "$(wc -l <"$tmp/out")" = 1 ] && grep -q '^dydit: ' "$tmp/out" && [ -z "$(ls x.* .x.* 2>/dev/null)" ] || return 2
}

# every_call NAME: its first calls, then fewer and fewer of them, until none is left to fail
every_call() {
    local n=1 runs=0 status
    while :; do
        status=0
        fails_well "$1:$n" || status=$?
        [ $status = 0 ] || break
        runs=$((runs + 1)) n=$((n < 4 ? n + 1 : n * 2 - n / 4))
    done
    [ $status = 1 ] && [ $runs -gt 0 ]
    verdict $? "$1 fails: $runs times one sentence, nothing left behind" "$tmp/out"
}

injected() {
    local f n status=0 runs=0
    for f in cudaGetDeviceCount cudaGetDeviceProperties cudaSetDevice cudaFuncGetAttributes cudaMemGetInfo \
        cudaStreamCreateWithPriority cudaHostAlloc cudaEventCreateWithFlags cudaMemsetAsync cudaMemcpyAsync cudaLaunchKernel \
        cudaStreamSynchronize cudaEventRecord cudaEventSynchronize cudaStreamBeginCapture cudaStreamEndCapture cudaGraphGetNodes \
        cudaGraphInstantiate cudaGraphUpload cudaGraphLaunch; do
        every_call $f
    done
    # One failed allocation may be made good: the buffer of raw rows is given back. Two in a row may not.
    for n in 1 2 3 4 7 12 25 50; do
        fails_well "cudaMalloc:$n,cudaMalloc:$((n + 1))" || { status=1; break; }
        runs=$((runs + 1))
    done
    verdict $status "cudaMalloc fails twice in a row: $runs times one sentence" "$tmp/out"
    # An error after which the device is lost: the wait and everything after it.
    fails_well cudaStreamSynchronize:3,cudaStreamQuery:1
    verdict $? "a lost device" "$tmp/out"
    # What gives things back can only lose them.
    for f in cudaFree:1 cudaFree:20 cudaFreeHost:1 cudaEventDestroy:2 cudaStreamDestroy:1 cudaGraphDestroy:1 cudaGraphExecDestroy:1; do
        status=0
        EMU_LEAKS=0 EMU_FAIL=$f tiny --latents-out x.st >"$tmp/out" 2>&1 </dev/null || status=$?
        [ -s x.st ] || status=1
        verdict $status "$f fails: the run succeeds" "$tmp/out"
        rm -f x.st
    done
    status=0
    EMU_MEMORY=10 draw --backend emu -l A --steps 2 -o x.png >"$tmp/out" 2>&1 || status=$?
    [ $status = 4 ] && [ "$(wc -l <"$tmp/out")" = 1 ] && grep -Eq 'on the device, [0-9.]+ GB are free: [0-9.]+ GB are missing' "$tmp/out"
    verdict $? "too little memory is said so" "$tmp/out"
    status=0
    EMU_MEMORY=10 "$dydit" eval -m "$glyphs" --backend emu -i "$like_glyphs" --in-prefix golden. -q -o x.st >"$tmp/out" 2>&1 || status=$?
    [ $status = 4 ] && [ "$(wc -l <"$tmp/out")" = 1 ] && grep -Eq 'on the device, [0-9.]+ GB are free: [0-9.]+ GB are missing' "$tmp/out"
    verdict $? "too little memory is said so, eval" "$tmp/out"
}

# ---- sanitizers ------------------------------------------------------------------------------------------------------

sanitized() { # CONFIG FLAG
    local order
    echo 'int main(void) { return 0; }' >"$tmp/probe.cpp"
    if ! { "${CXX:-g++}" "-fsanitize=$2" -o "$tmp/probe" "$tmp/probe.cpp" && "$tmp/probe"; } >/dev/null 2>&1; then
        skip "backend emu, $1" "-fsanitize=$2 does not work here"
        return
    fi
    build "$1" cli emu "build/$1/emu/test_graph" || return
    program "recorded programs, $1" DYDIT_PLUGIN_PATH="$root/build/$1" "build/$1/emu/test_graph"
    for order in forward random; do
        EMU_ORDER=$order run "$1, $order" "$root/build/$1/dydit" sample -m "$small" --backend emu --precision fp32 -l 1,2 --steps 4 \
            -q --latents-out "$1.st"
        run "$1, $order, bf16" env EMU_ORDER=$order "$root/build/$1/dydit" sample -m "$small" --backend emu --precision bf16 -l 1 \
            --steps 2 -q --latents-out "$1-16.st"
    done
    tiny --latents-out plain.st
    "$tools/st_look" compare "$1.st" latents plain.st latents 0 >"$tmp/out" 2>&1
    verdict $? "$1: as without" "$tmp/out"
}

if build release all unit emu build/release/emu/test_plugin; then
    built=$SECONDS
    goldens
    letters "two letters, 3 steps" -l A,R --steps ddim3
    letters "a letter, 20 steps" -l R --steps ddim20
    forced_masks
    injected
    echo "# backend emu: $((built - began)) s to build, $((SECONDS - built)) s to run"
    sanitized asan address,undefined
    sanitized tsan thread
    echo "# with sanitizers: $((SECONDS - began)) s"
fi

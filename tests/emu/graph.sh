#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# CUDA graphs under the emulator: a program per structure of steps is recorded, once per batch size, and what is replayed
# is what the ops do one by one, bit for bit. Run by tests/run.sh in `test` mode as one shell test, or by hand; prints
# `ok - NAME`, `not ok - NAME`, `skip - NAME # REASON`. Failures of the calls in a whole run are in backend.sh.
cd "$(dirname "$0")/../.." || exit 1
. tests/emu/lib.bash

# ---- the backend and the session -------------------------------------------------------------------------------------

recorded_programs() {
    local plugin=DYDIT_PLUGIN_PATH=$root/build/release f
    program "recorded programs" "$plugin" build/release/emu/test_graph
    program "recorded programs, work of streams in any order" "$plugin" EMU_STREAMS=random build/release/emu/test_graph
    program "a graph of a lost device" "$plugin" build/release/emu/test_graph lost
    for f in cudaStreamBeginCapture cudaStreamEndCapture cudaGraphGetNodes cudaGraphUpload cudaGraphLaunch; do
        program "$f fails" "$plugin" EMU_FAIL=$f:1 build/release/emu/test_graph fails $f "$f failed on "
    done
    program "an op fails in a capture" "$plugin" EMU_FAIL=cudaMemcpyAsync:1 build/release/emu/test_graph fails cudaMemcpyAsync \
        'op test.copy (copy) failed on '
    program "no memory for a graph" "$plugin" EMU_FAIL=cudaGraphInstantiate:1 build/release/emu/test_graph fails \
        cudaGraphInstantiate 'out of device memory for a graph of 2 nodes: it takes about 0.0328 MB (an estimate), '
    program "sessions" "$plugin" DYDIT_TEST_BACKEND=emu CMOCKA_MESSAGE_OUTPUT=TAP build/release/tests/unit/test_graphs
}

# ---- how many --------------------------------------------------------------------------------------------------------

tiny() { "$dydit" sample -m "$small" --backend emu --precision fp32 -q "$@"; }

# counts NAME GRAPHS LAUNCHES FLAGS...: instantiated and launched, as the emulator counts them; the latents are those of a
# run without graphs
counts() {
    local status=0 counted
    EMU_STATS=1 tiny --latents-out with.st "${@:4}" >"$tmp/out" 2>&1 </dev/null || status=$?
    tiny --latents-out without.st --no-graph "${@:4}" >>"$tmp/out" 2>&1 </dev/null || status=$?
    counted=$(sed -n 's/^emu: \([0-9]*\) graphs of [0-9]* nodes instantiated, \([0-9]*\) launched$/\1 \2/p' "$tmp/out")
    [ "$counted" = "$2 $3" ] && cmp with.st without.st >>"$tmp/out" 2>&1 || status=1
    verdict $status "$1: ${counted/ / graphs, } launches" "$tmp/out"
    rm -f with.st without.st
}

# The pattern of a cache that is refreshed at every third step, with SKIP where it would be read.
refresh_plan() { # FILE FLAGS of the plan
    "$dydit" plan -m "$small" --json "${@:2}" 2>"$tmp/out" | "${PYTHON:-python3}" -c '
import json, sys
plan = json.load(sys.stdin)
for i, step in enumerate(plan["steps"]):
    if i % 3: step["cells"] = [{"op": "SKIP"} for _ in step["cells"]]
json.dump(plan, sys.stdout)' >"$1"
}

how_many() {
    counts "one structure" 1 3 -l 1,2 --steps 3
    counts "more steps" 1 6 -l 1,2 --steps 6
    counts "noise drawn on the device" 1 3 -l 1,2 --steps 3 --rng torch-cuda
    counts "guidance at some steps" 2 4 -l 1,2 --steps 4 --cfg-interval 300 700
    counts "a second batch, with fewer labels" 1 6 -l 1,2,3,3 -b 2 --steps 3
    counts "a smaller last batch" 2 6 -l 1,2,3 -b 2 --steps 3
    counts "the complete model beside it" 2 6 -l 1,2 --steps 3 --compare-dense
    refresh_plan plan.json --steps 6
    counts "a plan that skips" 2 6 -l 1,2 --steps 6 --plan plan.json
    refresh_plan plan.json --steps 6 --cfg-interval 300 700
    counts "a plan that skips, guidance at some steps" 4 12 -l 1,2,3,4 -b 2 --steps 6 --plan plan.json
    counts "none wanted" 0 0 -l 1 --steps 2 --no-graph
    tiny -l 1,2 --steps 6 --plan plan.json --dry-run --json >"$tmp/out" 2>&1
    [ "$("$tools/st_look" json "$tmp/out" programs)" = 4 ]
    verdict $? "a dry run knows the number" "$tmp/out"
}

# ---- the same values -------------------------------------------------------------------------------------------------

# same_with NAME FILE COMMAND...: FILE, that the command writes, is the same file with --no-graph
same_with() {
    run "$1" "${@:3}" --backend emu -q
    mv "$2" graphs.st && run "$1, op by op" "${@:3}" --backend emu -q --no-graph
    cmp "$2" graphs.st >"$tmp/out" 2>&1
    verdict $? "$1: the same bits" "$tmp/out"
}

same_values() {
    local m p
    same_with "two letters, 3 steps" letters.st "$dydit" sample -m "$glyphs" --precision fp32 --cfg-scale 2 -l A,R --steps ddim3 \
        --trajectory-out letters.st
    for m in d64_h4_p2 d128_h4_p4 d144_h2_p2; do
        for p in fp32 bf16; do
            same_with "golden $m, $p" eval.st "$dydit" eval -m "$root/tests/golden/model_$m.safetensors" \
                -i "$root/tests/golden/model_$m.safetensors" --in-prefix golden. --trace --cfg-scale 4 --precision $p -o eval.st
        done
    done
}

if build release all unit emu build/release/emu/test_graph; then
    built=$SECONDS
    recorded_programs
    how_many
    same_values
    echo "# graphs: $((built - began)) s to build, $((SECONDS - built)) s to run"
fi

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What profilers see of the CUDA backend, by record.c in place of one: ranges of the domain `dydit`, how they nest, and
# which part of a benchmark is recorded. Run by tests/run.sh in `test` mode as one shell test, or by hand; prints
# `ok - NAME`, `not ok - NAME`, `skip - NAME # REASON`.
cd "$(dirname "$0")/../../.." || exit 1
. tests/emu/lib.bash
tool=$root/build/release/emu/libnvtx-record.so

case $("$make" --no-print-directory -C "$root" print-config) in *' nvtx=0 '*) skip "ranges" "the headers of NVTX are missing"; exit 0 ;; esac
build release cli emu build/release/emu/libnvtx-record.so || exit 1
cd "$tmp" || exit 1

# Op by op, where the program knows the difference.
eager=
! "$dydit" bench --help | grep -q -e --no-graph || eager=--no-graph

# recorded FILE COMMAND...: with the tool; its exit status
recorded() { NVTX_INJECTION64_PATH=$tool NVTX_RECORD=$1 "${@:2}" >"$tmp/out" 2>&1 </dev/null; }

# nested FILE: each range within one that may hold it, all closed, names registered, numbers as bench/PROFILING.md says.
# Prints how many ranges there were of each name that is not an op's.
nested() {
    awk -F '\t' '
        function bad(why) { printf "%s:%d: %s: %s\n", FILENAME, FNR, why, $0; failed = 1 }
        BEGIN {
            holds["run"] = ""; holds["batch"] = "run"; holds["step"] = "batch"; holds["program"] = "step batch"
            holds["block"] = "program"
        }
        $1 == "category" { category[$4] = $3 }
        $1 == "push" {
            name = $4 in holds ? $4 : "op"
            within = name == "op" ? "program block" : holds[name]
            if ($2 != "dydit") bad("another domain")
            if ($3 != depth) bad("depth is not " depth)
            if ($7 != "registered") bad("the name is not registered")
            if (depth && index(" " within " ", " " open[depth] " ") == 0 || !depth && within != "") bad("within " open[depth])
            if (name == "step" && $6 != (previous == "batch" ? 0 : step + 1)) bad("the step is not the next one")
            if (name == "step" || name == "batch") { previous = name; step = $6 }
            if (name == "block" && $6 !~ /^[01]$/) bad("no such block")
            if (name == "op" && $4 ~ /^blocks[.]/ && $4 !~ "^blocks[.]" block "[.]") bad("of another block than " block)
            if (name == "op" && $4 ~ /[.](qkv|proj|fc1|fc2)$/ && $5 != category["gemm"]) bad("no GEMM")
            if (name == "block") block = $6
            if (name != "op" && $5 != category["run"]) bad("category")
            open[++depth] = name
            n[name]++
        }
        $1 == "pop" { if ($3 != depth - 1) bad("depth"); depth-- }
        END {
            if (depth != 0) { print "ranges are left open"; failed = 1 }
            printf "%d run, %d batch, %d step, %d program, %d block, %d op\n", n["run"], n["batch"], n["step"], n["program"], n["block"], n["op"]
            exit failed
        }' "$1" >"$tmp/nested"
}

sample() { "$dydit" sample -m "$small" --backend emu --precision fp32 -l 1,2 --batch-size 1 --steps 4 -q --latents-out "$@"; }

recorded all.txt sample x.st $eager
verdict $? "a run under a tool" "$tmp/out"
nested all.txt && grep -Eq '^1 run, 2 batch, 8 step, ' nested && ! grep -Eq ' 0 (program|block|op)' nested
verdict $? "ranges nest: $(tail -n 1 nested)" nested
[ "$(grep -c '^domain	dydit$' all.txt)" = 1 ] && [ "$(grep -c '^destroyed	dydit$' all.txt)" = 1 ] && grep -q '^stream	dydit$' all.txt
verdict $? "one domain, the stream has a name" all.txt
# Every step has two blocks, and each GEMM of theirs.
awk -F '\t' '$1 == "push" { n[$4]++ } END { exit !(n["block"] >= 16 && n["blocks.0.attn.qkv"] == 8 && n["blocks.1.mlp.fc2"] == 8) }' all.txt
verdict $? "every op of every step is named" all.txt

if [ -n "$eager" ]; then
    recorded graph.txt sample y.st
    verdict $? "a run with graphs" "$tmp/out"
    nested graph.txt && grep -Eq '^1 run, 2 batch, 8 step, ' nested
    verdict $? "with graphs: $(tail -n 1 nested)" nested
fi

sample z.st >out 2>&1 && cmp -s x.st z.st
verdict $? "the same latents without a tool" out

# A run that fails in the middle closes its ranges.
EMU_FAIL=cudaLaunchKernel:40 recorded failed.txt sample w.st $eager
[ $? != 0 ] && nested failed.txt && grep -Eq '^1 run, 1 batch, [1-4] step' nested
verdict $? "a run that fails: $(tail -n 1 nested)" nested

# What is recorded of a benchmark: the timed runs. The emulator says when the profiler is switched, the tool when a run begins;
# both on stderr. Whether the profiler can be switched does not matter to the program.
EMU_FAIL=cudaProfilerStart:1,cudaProfilerStop:1 NVTX_INJECTION64_PATH=$tool "$dydit" bench --ckpt "$small" --backend emu --mode dense \
    --precision fp32 --steps ddim2 --warmup 1 --repeat 2 -q >out 2>err </dev/null
status=$?
order=$(awk -F '\t' '$1 == "push" && $4 == "run" { printf "run " } /cudaProfilerStart/ { printf "on " } /cudaProfilerStop/ { printf "off " }' err)
[ $status = 0 ] && [ "$order" = "run on run run off " ]
verdict $? "a benchmark, recorded from on to off: $order" err

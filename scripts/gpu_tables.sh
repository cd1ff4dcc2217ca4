# SPDX-License-Identifier: MIT
# What stands below the list of parts in the summary of scripts/gpu_check.sh, which sources this at the root of a bundle.
# shellcheck shell=bash disable=SC2154,SC2012 # out, bundle are the check's; names of reports have no spaces

look() { "$bundle/bin/st_look" json "$@" 2>/dev/null; }

# step_ms FILE MODE RATIO: a step of that case, or nothing
step_ms() {
    local i=0 mode
    while mode=$(look "$1" cases.$i.mode); do
        [ "$mode $(look "$1" cases.$i.ratio)" != "$2 $3" ] || look "$1" cases.$i.s_per_step | awk '{ print 1000 * $1 }'
        i=$((i + 1))
    done
}

# The same batch by both programs, complete and with half of the multiply-adds. Below 1: PyTorch is faster.
against_torch() {
    local i=0 mode batch ms f
    echo "mode        batch   PyTorch  dydit dense          dydit tdw+sdt 0.5    (ms a forward pass; ms a step)"
    while mode=$(look "$out/torch.json" cases.$i.mode); do
        batch=$(look "$out/torch.json" cases.$i.batch)
        f=$out/bench-xl-$batch.json
        if ms=$(look "$out/torch.json" cases.$i.median_ms) && [ -s "$f" ]; then
            awk -v mode="$mode" -v batch="$batch" -v ms="$ms" -v dense="$(step_ms "$f" dense null)" -v half="$(step_ms "$f" tdw+sdt 0.5)" \
                'function ours(t) { return t ? sprintf("%10.3f (%5.2f x)", t, ms / t) : "not measured" }
                BEGIN { printf "%-10s %6d %9.3f %20s %20s\n", mode, batch, ms, ours(dense), ours(half) }'
        fi
        i=$((i + 1))
    done
}

# Rates of what was executed, and their share of what PyTorch's GEMM of 8192 x 8192 x 8192 reached, where that was measured.
rates() {
    local f i mode peak=''
    peak=$(look "$out/torch.json" gemms.4.tflops)
    echo "case         batch  TFLOP/s  of cuBLAS"
    for f in $(ls -tr "$out"/bench-xl-*.json 2>/dev/null); do
        i=0
        while mode=$(look "$f" cases.$i.mode); do
            awk -v mode="$mode" -v ratio="$(look "$f" cases.$i.ratio)" -v batch="$(look "$f" cases.$i.batch)" \
                -v macs="$(look "$f" cases.$i.macs_executed)" -v s="$(look "$f" cases.$i.seconds.median)" -v peak="$peak" \
                'BEGIN {
                    r = 2e-12 * macs / s
                    if (ratio + 0) mode = sprintf("%s %g", mode, ratio)
                    printf "%-12s %5d %8.3g  %s\n", mode, batch, r, peak ? sprintf("%.0f %%", 100 * r / peak) : ""
                }'
            i=$((i + 1))
        done
    done
}

tables() {
    local f
    for f in $(ls -tr "$out"/bench-*.json 2>/dev/null); do
        [ -s "$f" ] || continue
        printf '\n%s\n' "$(basename "$f" .json)"
        "$bundle/bin/dydit" bench --read "$f" 2>&1
    done
    printf '\nrates\n'
    rates
    [ ! -s "$out/torch.json" ] || { printf '\nPyTorch\n' && cat "$out/torch.log" && against_torch; }
    [ ! -s "$out/hottest.csv" ] || { printf '\nhottest kernels\n' && cat "$out/hottest.log"; }
}

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the assembler makes of the CUDA kernels on every architecture: registers, static shared memory and spills of each.
#
#   scripts/ptxas_report.sh [FILE.cu...]     exit 1 on a spill, or where a file does not assemble; 77 without nvcc
#
# ARCHS: those of scripts/cuda_archs.sh; all of them by default. Shared memory that a launcher asks for is
# not in it.
set -u
cd "$(dirname "$0")/.." || exit 1
nvcc=$(scripts/nvcc.sh 2>&1) || { echo "ptxas: skipped, $nvcc"; exit 77; }
archs=$(scripts/cuda_archs.sh "${ARCHS:-all}") || exit
archs=$(tr ' ' '\n' <<<"${archs//ptx/}" | sort -nu | paste -sd ' ')
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
[ $# -gt 0 ] || set -- $(grep -l __global__ kernels/cuda/*.cu)

# The front end runs once for a file, the assembler once for an architecture, on as many CPUs as there are.
for f in "$@"; do printf '%s\0' "$f"; done | xargs -0 -P "$(nproc 2>/dev/null || echo 2)" -I{} sh -c \
    'f=$1; n=$(basename "$f" .cu); "$0" -std=c++17 -fmad=false -I. -arch=compute_80 -ptx -o "$2/$n.ptx" "$f" || exit 1
     for a in $3; do "${0%/*}/ptxas" -v -arch=sm_$a -o /dev/null "$2/$n.ptx" 2>"$2/$n.$a" || { cat "$2/$n.$a"; exit 1; }; done' \
    "$nvcc" {} "$tmp" "$archs" || { echo "ptxas: a file was refused"; exit 1; }

bad=0 n=0
printf '%-6s %-52s %9s %8s %7s\n' arch kernel registers shared spilled
for f in "$@"; do
    for a in $archs; do
        awk -v arch="sm_$a" '
            /Function properties for/ { name = $NF; sub(/^_ZN?[0-9]*_*(GLOBAL__N__[^_]*)?/, "", name) }
            /bytes spill stores/ { for (i = 1; i <= NF; i++) if ($i == "spill") sum += $(i - 2); spill = sum; sum = 0 }
            /Used [0-9]+ registers/ {
                smem = 0
                for (i = 1; i <= NF; i++) { if ($i == "registers,") regs = $(i - 1); if ($i == "smem,") smem = $(i - 2); if ($i == "smem") smem = $(i - 2) }
                printf "%-6s %-52s %9d %8d %7d\n", arch, substr(name, 1, 52), regs, smem, spill
                n++; bad += spill > 0
            }
            END { exit bad ? 1 : n ? 0 : 2 }' "$tmp/$(basename "$f" .cu).$a" || bad=1
        n=$((n + 1))
    done
done
[ $n -gt 0 ] || { echo "ptxas: no kernel was found"; exit 1; }
[ $bad = 0 ] || { echo "ptxas: registers are spilled, or a report could not be read"; exit 1; }
echo "ptxas: $n reports, nothing spilled"

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A time line of the timed part of `dydit bench` by Nsight Systems, with the ranges of the domain `dydit` and each kernel of a
# graph; then its tables. bench/PROFILING.md explains both.
#
#   scripts/profile_nsys.sh [--print] [--out FILE] [--whole-graphs] [--] [flags of dydit bench]
#
#   --print         only prints the commands
#   --out FILE      the report, without its ending (default build/profile/nsys)
#   --whole-graphs  one bar per launch of a graph: less overhead, no kernels
#
# Flags of bench replace the defaults below; one case at a time, since only the first is recorded.
# DYDIT: the program. Exit status 77 without nsys.
set -u
cd "$(dirname "$0")/.." || exit 1
out=build/profile/nsys print='' trace=node
while [ $# -gt 0 ]; do
    case $1 in
    --print) print=1 ;;
    --out) out=${2-}; shift ;;
    --whole-graphs) trace=graph ;;
    --) shift; break ;;
    --help | -h) sed -n '/^# A time/,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) break ;;
    esac
    shift
done
[ -n "$out" ] || { echo "profile: --out needs a value" >&2; exit 2; }
. scripts/profile.bash
find_dydit
bench_command ddim4 "$@"
record=(nsys profile --capture-range=cudaProfilerApi --capture-range-end=stop "--cuda-graph-trace=$trace" --trace=cuda,nvtx,cublas
    --sample=none --cpuctxsw=none --force-overwrite=true "--output=$out")
tables=(nsys stats --force-export=true --report cuda_gpu_kern_sum --report nvtx_gpu_proj_sum --format csv --output "$out"
    "$out.nsys-rep")

if [ -n "$print" ]; then
    show "${record[@]}" "${bench[@]}"
    show "${tables[@]}"
    exit 0
fi
command -v nsys >/dev/null || { echo "profile: nsys is missing; Nsight Systems comes with CUDA's installer" >&2; exit 77; }
mkdir -p "$(dirname "$out")" || exit 1
"${record[@]}" "${bench[@]}" || exit
"${tables[@]}" || exit
echo "profile: $out.nsys-rep and tables beside it"

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
dydit=${DYDIT:-build/release/dydit}
[ -n "${DYDIT-}" ] || [ ! -x bin/dydit ] || dydit=bin/dydit # in a bundle
[ -x "$dydit" ] || { echo "profile: $dydit is missing; run make first" >&2; exit 1; }

# default FLAG VALUE: unless the flag is among those given (lists add up, and a model is one or the other)
given=" $* " bench=("$dydit" bench --backend cuda)
default() { [[ $given == *" $1"[\ =]* ]] || bench+=("$1" "$2"); }
[[ $given == *' --ckpt'[\ =]* ]] || default --model DyDiT-XL/2
default --mode tdw+sdt
default --ratio 0.5
default --batch-size 16
default --steps ddim4
default --warmup 1
default --repeat 1
bench+=("$@")
record=(nsys profile --capture-range=cudaProfilerApi --capture-range-end=stop "--cuda-graph-trace=$trace" --trace=cuda,nvtx,cublas
    --sample=none --cpuctxsw=none --force-overwrite=true "--output=$out")
tables=(nsys stats --force-export=true --report cuda_gpu_kern_sum --report nvtx_gpu_proj_sum --format csv --output "$out"
    "$out.nsys-rep")

if [ -n "$print" ]; then
    printf '%q ' "${record[@]}" "${bench[@]}"
    printf '\n'
    printf '%q ' "${tables[@]}"
    printf '\n'
    exit 0
fi
command -v nsys >/dev/null || { echo "profile: nsys is missing; Nsight Systems comes with CUDA's installer" >&2; exit 77; }
mkdir -p "$(dirname "$out")" || exit 1
"${record[@]}" "${bench[@]}" || exit
"${tables[@]}" || exit
echo "profile: $out.nsys-rep and tables beside it"

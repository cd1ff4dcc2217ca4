#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the assembler makes of the CUDA kernels on every architecture, held against the budgets in their sources: registers,
# shared memory, spills, and blocks that a multiprocessor holds at once.
#
#   scripts/ptxas_report.sh [OPTION...] [FILE.cu...]     exit 1 where a kernel is above its budget or has none; 77 without nvcc
#
#   --from FOLDER   of what scripts/cuda_assemble.sh has left there
#   --doc           of all files, and writes the table of docs/kernels.md; --check-doc: compares it
#
# ARCHS: those of scripts/cuda_archs.sh; all of them by default.
set -u
cd "$(dirname "$0")/.." || exit 1
page=docs/kernels.md folder='' doc=''
while [ $# -gt 0 ]; do
    case $1 in
    --from) folder=$2; shift 2 ;;
    --doc | --check-doc) doc=$1; shift ;;
    *) break ;;
    esac
done
case $doc/${1-} in
*/-* | --*/?*) echo "usage: scripts/ptxas_report.sh [--from FOLDER] [--doc|--check-doc] | [FILE.cu...]" >&2; exit 2 ;;
esac
[ $# -gt 0 ] || mapfile -t files < <(grep -l __global__ kernels/cuda/*.cu)
[ $# = 0 ] || files=("$@")
nvcc=$(scripts/nvcc.sh 2>&1) || { echo "ptxas: skipped, $nvcc"; exit 77; }
for tool in "${PYTHON:-python3}" c++filt; do
    command -v "$tool" >/dev/null || { echo "ptxas: skipped, $tool is missing"; exit 77; }
done
if [ -z "$folder" ]; then
    folder=$(mktemp -d) || exit 1
    trap 'rm -rf "$folder"' EXIT
    scripts/cuda_assemble.sh "$folder" "${files[@]}" || { echo "ptxas: a file was refused"; exit 1; }
fi
options=()
[ -z "$doc" ] || options=("$doc" "$page" "$("$nvcc" --version | sed -n 's/^.* V\([0-9.]*\)$/\1/p')")
PYTHONDONTWRITEBYTECODE=1 "${PYTHON:-python3}" scripts/cubin/report.py "${options[@]}" "$folder" "${files[@]}"

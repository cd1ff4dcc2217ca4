#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Disassembles the CUDA kernels and holds them against the `Instructions:` lines in the heads of their sources: tensor cores,
# ldmatrix, asynchronous copies and vector stores are there where they are claimed, and nothing lies in local memory.
#
#   scripts/sass_check.sh [--from FOLDER] [FILE.cu...]     exit 1 where a claim does not hold; 77 without nvcc or nvdisasm
#
#   --from FOLDER   of what scripts/cuda_assemble.sh has left there
set -u
cd "$(dirname "$0")/.." || exit 1
folder=''
case ${1-} in
--from) folder=$2; shift 2 ;;
-*) echo "usage: scripts/sass_check.sh [--from FOLDER] [FILE.cu...]" >&2; exit 2 ;;
esac
[ $# -gt 0 ] || mapfile -t files < <(grep -l __global__ kernels/cuda/*.cu)
[ $# = 0 ] || files=("$@")
nvdisasm=$(scripts/nvdisasm.sh 2>&1) || { echo "sass: skipped, $nvdisasm"; exit 77; }
for tool in "${PYTHON:-python3}" c++filt; do
    command -v "$tool" >/dev/null || { echo "sass: skipped, $tool is missing"; exit 77; }
done
if [ -z "$folder" ]; then
    folder=$(mktemp -d) || exit 1
    trap 'rm -rf "$folder"' EXIT
    scripts/cuda_assemble.sh "$folder" "${files[@]}"
    case $? in
    0) ;;
    77) echo "sass: skipped, $(cat "$folder/why")"; exit 77 ;;
    *) echo "sass: a file was refused"; exit 1 ;;
    esac
fi
PYTHONDONTWRITEBYTECODE=1 "${PYTHON:-python3}" scripts/cubin/instructions.py "$nvdisasm" "$folder" "${files[@]}"

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every CUDA kernel of the tree was executed: compares the entries in the PTX of kernels/cuda/*.cu with what programs on the
# emulator wrote into the file EMU_KERNELS, and prints the list with the number of launches. Run by tests/run.sh in `test`
# mode as one shell test, after those that execute kernels, or by hand:
#
#   EMU_KERNELS=/tmp/list tests/checkkernel/device/run.sh; EMU_KERNELS=/tmp/list tests/checkkernel/device/kernels.sh
#
# Prints `ok - NAME`, `not ok - NAME`, `skip - NAME # REASON`, `note - TEXT`.
set -u
cd "$(dirname "$0")/../../.." || exit 1

scripts/nvcc.sh >/dev/null 2>&1 || { printf 'skip - executed kernels # %s\n' "$(scripts/nvcc.sh 2>&1)"; exit 0; }
for tool in "${PYTHON:-python3}" "${CXX:-g++}"; do # without them nothing is executed
    command -v "$tool" >/dev/null 2>&1 || { echo "skip - executed kernels # $tool is missing"; exit 0; }
done
[ -n "${EMU_KERNELS-}" ] || { echo "not ok - EMU_KERNELS names no file"; exit 1; }

# Without arguments, return type and `_kernel`, where there is c++filt.
short() { if command -v c++filt >/dev/null 2>&1; then c++filt -p; else cat; fi | sed 's/^void //; s/_kernel//; s/ >/>/g'; }

# launches NAME: how many, of all programs
launches() { [ ! -e "$EMU_KERNELS" ] || awk -v name="$1" '$1 == name { n += $2 } END { print n }' "$EMU_KERNELS"; }

all=0 missing=0
for source in kernels/cuda/*.cu; do
    unit=$(basename "$source" .cu) line="note - $(basename "$source"):"
    if [ ! -s "build/emu/cuda/$unit.ptx" ]; then
        echo "not ok - $unit: build/emu/cuda/$unit.ptx was not made"
        continue
    fi
    for entry in $(sed -n 's/^.*\.entry \([A-Za-z0-9_$]*\).*/\1/p' "build/emu/cuda/$unit.ptx"); do
        name=$(short <<<"$entry") n=$(launches "$entry")
        all=$((all + 1))
        [ $((${#line} + ${#name})) -lt 118 ] || { echo "$line" && line="note -    "; }
        line="$line $name ${n:-0};"
        [ "${n:-0}" -gt 0 ] || { missing=$((missing + 1)) && echo "not ok - $name of $source was not executed"; }
    done
    case $line in *';') echo "${line%;}" ;; esac
done
[ $missing != 0 ] || [ $all = 0 ] || echo "ok - all $all kernels were executed"

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Assembles CUDA kernels for inspection: NAME.ptx, and NAME.sm_N.cubin with what the assembler says of it in NAME.sm_N.log.
#
#   scripts/cuda_assemble.sh FOLDER FILE.cu...     exit 77 without nvcc, which FOLDER/why then says; 1 if a file is refused
#
# ARCHS: those of scripts/cuda_archs.sh; all of them by default. A file whose header says `Architectures: 90a` is for these
# alone. All others are compiled once, for compute_80, whose PTX is the one that newer devices translate; the emulator's
# (build/emu/cuda) is taken where it is newer than its sources.
set -u
cd "$(dirname "$0")/.." || exit 1
folder=$1
shift
nvcc=$(scripts/nvcc.sh 2>"$folder/why") || exit 77
archs=$(scripts/cuda_archs.sh "${ARCHS:-all}") || exit
archs=$(tr ' ' '\n' <<<"${archs//ptx/}" | sort -nu)
jobs=$(nproc 2>/dev/null || echo 2)

# own FILE: the architectures that its header names, if any
own() { sed -n 's/^\/\/ Architectures: \([0-9a-z, ]*\)\.\?$/\1/p' "$1" | tr ', ' '\n\n' | grep . ; }

# current FILE.cu FILE.ptx: was the second made of these sources, by this compiler?
current() {
    [ "${1%/*}" = kernels/cuda ] && [ -s "$2" ] && [ "$2" -nt "$1" ] && [ "$2" -nt "$nvcc" ] &&
        [ -z "$(find kernels \( -name '*.h' -o -name '*.cuh' -o -name '*.def' \) -newer "$2" -print -quit)" ]
}

translate() { # FILE.cu
    local name arch
    name=$(basename "$1" .cu)
    arch=$(own "$1" | head -n 1)
    if [ -z "$arch" ] && current "$1" "build/emu/cuda/$name.ptx"; then
        cp "build/emu/cuda/$name.ptx" "$folder/$name.ptx"
    else
        "$nvcc" -std=c++17 -fmad=false -I. -arch="compute_${arch:-80}" -ptx -o "$folder/$name.ptx" "$1"
    fi
}

assemble() { # NAME ARCH
    "${nvcc%/*}/ptxas" -v -arch="sm_$2" -o "$folder/$1.sm_$2.cubin" "$folder/$1.ptx" 2>"$folder/$1.sm_$2.log" && return 0
    cat "$folder/$1.sm_$2.log" >&2
    return 1
}

export -f own current translate assemble
export nvcc folder
printf '%s\0' "$@" | xargs -0 -n 1 -P "$jobs" bash -c 'translate "$1" || exit 255' bash || exit 1
# The longest first, so that none is left over at the end.
for file in "$@"; do
    name=$(basename "$file" .cu)
    list=$(own "$file")
    for arch in ${list:-$archs}; do echo "$(stat -c %s "$folder/$name.ptx") $name $arch"; done
done | sort -rn | cut -d ' ' -f 2- | xargs -n 2 -P "$jobs" bash -c 'assemble "$1" "$2" || exit 255' bash || exit 1

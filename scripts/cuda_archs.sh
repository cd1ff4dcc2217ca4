#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Prints what CUDA kernels are built for, in words: 90 is machine code of sm_90, ptx80 is PTX of compute_80, which the driver
# of any newer device translates.
#
#   scripts/cuda_archs.sh                 the devices of this machine, and ptx80; without a device ptx80 alone
#   scripts/cuda_archs.sh all             every architecture that is supported, and ptx80
#   scripts/cuda_archs.sh 90,ptx90        these, between commas or spaces
#   scripts/cuda_archs.sh --flags [...]   the same as options of nvcc
set -u
cd "$(dirname "$0")/.." || exit 1
oldest=80 # bf16 and cp.async
all="80 86 89 90 100 120 ptx80"

fail() { echo "dydit: ARCHS: $1" >&2; exit 2; }

# The numbers that nvcc can build for, in one line; nothing without nvcc.
known() {
    local nvcc
    nvcc=$(scripts/nvcc.sh 2>/dev/null) && "$nvcc" --list-gpu-arch | sed -n 's/^compute_\([0-9][0-9]*\)$/\1/p' | sort -n | paste -sd ' '
}

# Compute capabilities of the devices as numbers, each once. Where the driver fails, nvidia-smi prints sentences.
devices() {
    timeout 20 nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null |
        sed -n 's/^ *\([0-9][0-9]*\)\.\([0-9]\) *$/\1\2/p' | sort -nu
}

of_this_machine() {
    local nvcc_knows arch
    nvcc_knows=" $(known) "
    for arch in $(devices); do
        [ "$arch" -lt $oldest ] || [[ $nvcc_knows != *" $arch "* ]] || printf '%s ' "$arch"
    done
    echo ptx80
}

# checked WORDS...: each once, in the order given
checked() {
    local nvcc_knows word n words=' '
    nvcc_knows=$(known)
    for word in "$@"; do
        n=${word#ptx}
        [[ $n =~ ^[1-9][0-9]{1,2}$ ]] || fail "'$word' is neither a number as 90, nor one as ptx90, nor all by itself"
        [ "$n" -ge $oldest ] || fail "$word is older than $oldest, the oldest that the kernels are written for"
        [ -z "$nvcc_knows" ] || [[ " $nvcc_knows " == *" $n "* ]] || fail "nvcc cannot build for $word, only for $nvcc_knows"
        [[ $words == *" $word "* ]] || words="$words$word "
    done
    words=${words# }
    echo "${words% }"
}

flags() { # WORDS...
    local word n flags=''
    for word in "$@"; do
        n=${word#ptx}
        case $word in
        ptx*) flags="$flags -gencode arch=compute_$n,code=compute_$n" ;;
        *) flags="$flags -gencode arch=compute_$n,code=sm_$n" ;;
        esac
    done
    echo "${flags# }"
}

print='echo'
if [ "${1-}" = --flags ]; then
    print=flags
    shift
fi
read -r -a words <<<"$(tr ',\n' '  ' <<<"$*")"
case ${words[*]-} in
'') list=$(of_this_machine) ;;
all) list=$all ;;
*) list=$(checked "${words[@]}") || exit ;;
esac
# shellcheck disable=SC2086 # words
$print $list

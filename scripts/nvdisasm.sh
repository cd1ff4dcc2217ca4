#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Prints the path of the disassembler that tests look at machine code with: $NVDISASM if that is set; otherwise nvdisasm on
# PATH, beside nvcc, or in build/nvdisasm. Where there is none, the exit status is 1 and stderr says why.
#
#   scripts/nvdisasm.sh --fetch     gets it into build/nvdisasm where there is none, by pip
set -u
cd "$(dirname "$0")/.." || exit 1
home=build/nvdisasm
packages=scripts/nvdisasm_packages.txt
python=${PYTHON:-python3}

no() { echo "$1" >&2; exit 1; }

find_one() {
    local candidate nvcc
    nvcc=$(scripts/nvcc.sh 2>/dev/null)
    set -- nvdisasm "${nvcc:+${nvcc%/*}/nvdisasm}" "$PWD/$home/nvidia/cu13/bin/nvdisasm"
    [ -z "${NVDISASM-}" ] || set -- "$NVDISASM"
    for candidate in "$@"; do type -P "$candidate" && return 0; done
    return 1
}

fetch() {
    local log part
    mkdir -p build
    part=$(mktemp -d "$home.XXXXXX") || no "a folder in build/ cannot be made"
    log=$part.log
    # shellcheck disable=SC2064 # the names of now
    trap "rm -rf '$part' '$log'" EXIT
    "$python" -m pip install --disable-pip-version-check --no-input --retries 2 --timeout 20 --require-hashes --no-deps \
        --only-binary=:all: --no-compile --target "$part" -r $packages >"$log" 2>&1 ||
        no "nvdisasm cannot be fetched: pip: $(sed -n 's/^ERROR: *//p' "$log" | head -n 1)"
    [ -x "$part/nvidia/cu13/bin/nvdisasm" ] || no "the package of nvdisasm does not have it where it is expected"
    rm -rf $home && mv "$part" $home
}

if [ "${1-}" = --fetch ] && ! find_one >/dev/null; then fetch; fi
find_one || no "${NVDISASM:+NVDISASM=}${NVDISASM:-nvdisasm} is missing"

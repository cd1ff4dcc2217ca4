#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# scripts/deps.sh --cuda, and which nvcc is used. Nothing is fetched or installed: compilers, pip and the package manager
# are played, in a copy of the scripts.
. tests/cli/lib.bash

tree=$(pwd -P)/tree
bin=$TMP/bin
mkdir "$bin" "$tree" "$tree/scripts"
cp "$ROOT"/scripts/*.sh "$ROOT"/scripts/*_packages.txt "$tree/scripts"
cp "$ROOT/Makefile" "$tree"
cd "$tree" || exit 1
export PATH=$bin:$PATH CUDA_HOME=$TMP/no-cuda CXX=$bin/cxx PYTHON=$bin/python CALLS=$TMP/calls HAS_PIP=$TMP/pip
unset CUDA NVCC NVDISASM
: >"$CALLS"
: >"$HAS_PIP"

play() { cat >"$bin/$1" && chmod +x "$bin/$1"; }

# nvcc FILE RELEASE [refuses]: a compiler that makes an empty file of everything, or refuses everything
nvcc() {
    mkdir -p "$(dirname "$1")"
    cat >"$1" <<SH
#!/bin/sh
[ "\$1" != --version ] || { echo "Cuda compilation tools, release $2, V$2.88"; exit; }
[ -z "${3-}" ] || { echo "x.cu(1): error: ${3-}" >&2; exit 1; }
while [ "\$1" != -o ]; do shift; done
: >"\$2"
SH
    chmod +x "$1"
}
play cxx <<'SH'
#!/bin/sh
[ "$1" = -o ] && : >"$2"
SH
# Like pip, with the packages' common folder; OFFLINE: without a network.
play python <<'SH'
#!/bin/sh
[ -e "$HAS_PIP" ] || { echo "python: No module named pip" >&2; exit 1; }
[ "$3" != --version ] || exit 0
echo "pip $*" >>"$CALLS"
[ -z "${OFFLINE-}" ] || { printf 'WARNING: retrying\nERROR: Could not find a version\nERROR: No matching distribution\n' >&2; exit 1; }
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/nvidia/cu13/bin" "$2/nvidia/cu13/lib" "$2/nvidia_cuda_nvcc-1.dist-info"
: >"$2/nvidia/cu13/lib/libcudart.so.13"
cp "$FETCHED_NVCC" "$2/nvidia/cu13/bin/$(sed -n 's/^nvidia-cuda-\(nvcc\|nvdisasm\)==.*/\1/p' "$4")"
SH
play nvdisasm </dev/null
play apt-get <<'SH'
#!/bin/sh
echo "apt-get $*" >>"$CALLS"
case "$*" in *install*) [ -z "${APT_WORKS-}" ] || : >"$HAS_PIP" ;; esac
SH
play id <<'SH'
#!/bin/sh
echo "${USER_ID:-1000}"
SH
export FETCHED_NVCC=$TMP/fetched/nvcc
nvcc "$FETCHED_NVCC" 13.0

# deps ARGS...: output in $OUT and $ERR; its exit status in $status; what it called in $CALLS
deps() {
    : >"$CALLS"
    status=0
    scripts/deps.sh --no-test "$@" >"$OUT" 2>"$ERR" </dev/null || status=$?
}

# result NAME STATUS REGEX: the last deps; the last line of its output, or of stderr where it failed
result() {
    local text
    text=$(cat "$OUT" "$ERR" | tail -n 1)
    if [ "$status" != "$2" ]; then
        not_ok "$1" "exit status $status, not $2: $text"
    elif ! grep -Eq -e "$3" <<<"$text"; then
        not_ok "$1" "'$text' does not match $3"
    else
        ok "$1"
    fi
}

deps --what
result "an unknown option" 2 '^usage: scripts/deps.sh '
deps --cuda=2
result "an unknown value" 2 '^usage: scripts/deps.sh '

nvcc "$bin/nvcc" 13.1
deps --cuda
result "nvcc on PATH is new enough" 0 "CUDA is there: $(readlink -f "$bin/nvcc")$"
nvcc "$bin/nvcc" 13.0 'no headers'
deps --cuda
result "nvcc that builds nothing" 1 'cannot build a program: .*no headers'
equal "neither fetches anything" "" "$(cat "$CALLS")"

nvcc "$bin/nvcc" 12.9
OFFLINE=1 deps --cuda
result "no network" 1 '^deps: CUDA cannot be fetched: pip: Could not find a version$'
equal "no network: one sentence" 1 "$(wc -l <"$ERR")"
OFFLINE=1 deps --cuda=auto
result "no network, auto" 0 '^deps: tests of CUDA will be skipped: CUDA cannot be fetched: pip: Could not find a version$'
equal "no network, auto: nothing on stderr" "" "$(cat "$ERR")"
equal "no network leaves nothing behind" "" "$(ls -A build)"
nvcc "$FETCHED_NVCC" 13.0 'no such compiler'
deps --cuda
result "what was fetched builds nothing" 1 'cannot build a program: .*no such compiler'
equal "a failure leaves nothing behind" "" "$(ls -A build)"
nvcc "$FETCHED_NVCC" 13.0

deps --cuda=0
result "--cuda=0" 0 'everything is there$'
equal "--cuda=0 fetches nothing" "" "$(cat "$CALLS")"
NVCC=$bin/nvcc deps --cuda
result "an old NVCC was asked for" 1 '^deps: .*/nvcc is of CUDA 12.9, older than 13$'
NVCC=no-such-nvcc deps --cuda
result "a missing NVCC was asked for" 1 '^deps: NVCC=no-such-nvcc is missing$'
play uname <<'SH'
#!/bin/sh
[ "$1" = -s ] && echo Linux || echo riscv64
SH
deps --cuda
result "a machine that CUDA is not made for" 1 '^deps: CUDA cannot be had for Linux on riscv64$'
equal "none of them fetches anything" "" "$(cat "$CALLS")"
printf '#!/bin/sh\n[ "$1" = -s ] && echo Linux || echo x86_64\n' >"$bin/uname"

rm "$HAS_PIP"
deps --cuda
result "no pip and not root" 1 '^deps: run: sudo apt-get update && sudo apt-get install .* python3-pip$'
deps --cuda=auto
result "no pip and not root, auto" 0 '^deps: tests of CUDA will be skipped: run: sudo apt-get update'
equal "nothing is installed unless root" "" "$(cat "$CALLS")"
USER_ID=0 deps --cuda
result "no pip even after installing it" 1 '^deps: still missing after installation: python3-pip'
USER_ID=0 APT_WORKS=1 deps --cuda
result "fetched, by the pip just installed" 0 "CUDA is there: $tree/build/cuda/bin/nvcc \("
check "pip was held to the hashes" grep -q -e '--require-hashes .* -r scripts/cuda_packages.txt' "$CALLS"
check "lib64, as CUDA has it" test -e build/cuda/lib64/libcudart.so.13
check "a library to link with" test -e build/cuda/lib/libcudart.so
check "the licences" test -d build/cuda/dist-info/nvidia_cuda_nvcc-1.dist-info
equal "nothing else" cuda "$(ls -A build)"
deps --cuda
result "once is enough" 0 "CUDA is there: $tree/build/cuda/bin/nvcc$"
equal "once is enough: no pip" "" "$(cat "$CALLS")"
echo "# newer" >>scripts/cuda_packages.txt
deps --cuda
result "a newer list is fetched" 0 "CUDA is there: $tree/build/cuda/bin/nvcc \("

rm "$bin/nvdisasm"
OFFLINE=1 deps --cuda
result "no network for a disassembler" 0 '^deps: machine code will not be looked at: .* fetched: pip: Could not find a version$'
equal "no network for a disassembler leaves nothing behind" cuda "$(ls -A build)"
deps --cuda
result "a disassembler is fetched" 0 "CUDA is there: "
check "pip was held to the hashes of the disassembler" grep -q -e '--require-hashes .* -r scripts/nvdisasm_packages.txt' "$CALLS"
equal "the disassembler" "$tree/build/nvdisasm/nvidia/cu13/bin/nvdisasm" "$(scripts/nvdisasm.sh)"
deps --cuda
equal "a disassembler once is enough: no pip" "" "$(cat "$CALLS")"
equal "the disassembler asked for" "$bin/id" "$(NVDISASM=$bin/id scripts/nvdisasm.sh)"
check "a missing one asked for" grep -qx 'NVDISASM=none is missing' <(NVDISASM=none scripts/nvdisasm.sh 2>&1)
check "none" grep -qx 'nvdisasm is missing' <(rm -r build/nvdisasm; scripts/nvdisasm.sh 2>&1)
play nvdisasm </dev/null

# found NAME WANT ARGS...: the nvcc that make takes
found() { equal "nvcc of make: $1" "$2" "$(make -s print-nvcc "${@:3}" 2>/dev/null | tail -n 1)"; }
nvcc "$TMP/home/bin/nvcc" 14.0
home=$(readlink -f "$TMP/home/bin/nvcc")
export CUDA_HOME=$TMP/home
found "build/cuda where that on PATH is old" "$tree/build/cuda/bin/nvcc"
found "the one asked for" "$home" NVCC="$TMP/home/bin/nvcc"
found "an old one asked for" "" NVCC="$bin/nvcc"
found "none with CUDA=0" "" CUDA=0
nvcc "$bin/nvcc" 13.2
found "that on PATH" "$(readlink -f "$bin/nvcc")"
ln -sf "$TMP/home/bin/nvcc" "$bin/nvcc"
found "a link is followed" "$home"
nvcc "$TMP/old/nvcc" 12.9
ln -sf "$TMP/old/nvcc" "$bin/nvcc"
rm -r build/cuda
found "that of CUDA_HOME" "$home"
export CUDA_HOME=$TMP/no-cuda
found "none" ""
check "make says which" grep -q 'emu: skipped, .*/nvcc is of CUDA 12.9, older than 13' <(make emu 2>&1)
check "CUDA=maybe is refused" grep -q 'CUDA=maybe is none of auto, 0, 1' <(make CUDA=maybe emu 2>&1)
check "make test asks for CUDA" grep -qx 'scripts/deps.sh --cuda=auto' <(make -n test 2>&1)
check "make test CUDA=1 insists" grep -qx 'scripts/deps.sh --cuda=1' <(make -n test CUDA=1 2>&1)
check "make demo does not" grep -qx 'scripts/deps.sh --no-test' <(make -n demo 2>&1)

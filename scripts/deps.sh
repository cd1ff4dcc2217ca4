#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checks by compiling that everything needed to build and to test is there. What is missing is installed if this is Debian
# or Ubuntu and we are root; otherwise the command to run is printed and the exit status is 1.
#
#   scripts/deps.sh [--no-test] [--cuda[=auto|0|1]]
#
#   --no-test   without what only tests need
#   --cuda      CUDA's compiler too (scripts/cuda_fetch.sh), what its emulator needs, and a disassembler for tests
#               (scripts/nvdisasm.sh); --cuda=auto: where the compiler cannot be had says so in one line and succeeds;
#               --cuda=0: no CUDA
set -u
cd "$(dirname "$0")/.." || exit

test_too=1 cuda=0
for arg in "$@"; do
    case $arg in
    --no-test) test_too=0 ;;
    --cuda | --cuda=1) cuda=1 ;;
    --cuda=auto | --cuda=0) cuda=${arg#*=} ;;
    *) echo "usage: scripts/deps.sh [--no-test] [--cuda[=auto|0|1]]" >&2; exit 2 ;;
    esac
done

cc=${CC:-cc}
cxx=${CXX:-g++}
python=${PYTHON:-python3}
pkg_config=${PKG_CONFIG:-pkg-config}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

have() { command -v "$1" >/dev/null 2>&1; }

# probe FLAGS CODE: does this compile and link?
probe() {
    printf '%s\n' "$2" 'int main(void) { return 0; }' >"$tmp/probe.c"
    # shellcheck disable=SC2086 # CC and flags may be several words
    $cc -o "$tmp/probe" "$tmp/probe.c" $1 >/dev/null 2>&1
}

# library MODULE HEADERS: known to pkg-config, header compiles, library links.
library() {
    local flags code='' h
    flags=$("$pkg_config" --cflags --libs "$1" 2>/dev/null) || return 1
    for h in $2; do code="$code#include <$h>
"; done
    probe "$flags" "$code"
}

# Debian packages that are missing, to build and to test.
missing() {
    local cmocka_headers='stdarg.h stddef.h setjmp.h stdint.h cmocka.h'
    have make || echo make
    have "$pkg_config" || echo pkg-config
    if ! probe '-lm -pthread' '#include <math.h>
#include <stdio.h>
#include <pthread.h>'; then
        echo gcc
        echo libc6-dev
    fi
    library jansson jansson.h || echo libjansson-dev
    library libpng png.h || echo libpng-dev
    library zlib zlib.h || echo zlib1g-dev
    [ "$test_too" = 0 ] || library cmocka "$cmocka_headers" || echo libcmocka-dev
}

# The same for CUDA: its compiler needs that of C++, the emulator Python as well, and what is fetched is fetched by pip.
missing_for_cuda() {
    echo 'int main() { return 0; }' >"$tmp/probe.cpp"
    "$cxx" -o "$tmp/probe" "$tmp/probe.cpp" >/dev/null 2>&1 || echo g++
    have "$python" || echo python3
    CUDA='' scripts/nvcc.sh >/dev/null 2>&1 || "$python" -m pip --version >/dev/null 2>&1 || echo python3-pip
}

quiet() {
    DEBIAN_FRONTEND=noninteractive "$@" >"$tmp/log" 2>&1 && return 0
    cat "$tmp/log" >&2
    echo "deps: failed: $*" >&2
    return 1
}

# how_to LIST: the command that gets the packages, for people
how_to() {
    local sudo=''
    [ "$(id -u)" = 0 ] || sudo='sudo '
    if have apt-get; then
        echo "deps: run: ${sudo}apt-get update && ${sudo}apt-get install -y --no-install-recommends $1"
    elif have dnf; then
        set -- gcc make pkgconf-pkg-config jansson-devel libpng-devel zlib-devel libcmocka-devel
        [ "$cuda" = 0 ] || set -- "$@" gcc-c++ python3 python3-pip
        echo "deps: run: ${sudo}dnf install $*"
    elif have pacman; then
        set -- gcc make pkgconf jansson libpng zlib cmocka
        [ "$cuda" = 0 ] || set -- "$@" python python-pip
        echo "deps: run: ${sudo}pacman -S --needed $*"
    else
        echo "deps: install a C11 compiler, make, pkg-config, jansson, libpng, zlib; for tests cmocka; for CUDA g++, Python 3, pip"
    fi
}

# ensure LISTER: installs what it lists. Without a compiler or pkg-config no library can be probed, so all are listed; the
# package manager knows better.
ensure() {
    local list
    list=$("$1" | paste -sd ' ')
    [ -n "$list" ] || return 0
    echo "deps: missing: $list"
    if ! have apt-get || [ "$(id -u)" != 0 ]; then
        how_to "$list" >&2
        return 1
    fi
    # A stale or unreachable mirror list need not be fatal: the packages may be at hand all the same.
    quiet apt-get update || echo "deps: trying with the package lists that are there" >&2
    # shellcheck disable=SC2086 # a list of packages
    quiet apt-get install -y --no-install-recommends $list || return 1
    hash -r
    list=$("$1" | paste -sd ' ')
    [ -z "$list" ] || { echo "deps: still missing after installation: $list (compiler: $cc)" >&2; return 1; }
}

# Only tests of machine code need a disassembler.
cuda() {
    ensure missing_for_cuda && scripts/cuda_fetch.sh || return
    scripts/nvdisasm.sh --fetch >/dev/null 2>"$tmp/log" || echo "deps: machine code will not be looked at: $(tail -n 1 "$tmp/log")"
}

ensure missing || exit 1
echo "deps: everything is there"
case $cuda in
1) cuda ;;
auto) cuda 2>"$tmp/why" || echo "deps: tests of CUDA will be skipped: $(sed -n '$s/^deps: //; $p' "$tmp/why")" ;;
esac

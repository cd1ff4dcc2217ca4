#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checks by compiling that everything needed to build (and, without --no-test, to test) is there. What is missing is
# installed if this is Debian or Ubuntu and we are root; otherwise the command to run is printed and the exit status is 1.
set -u
cd "$(dirname "$0")/.." || exit

test_too=1
case "${1-}" in
'') ;;
--no-test) test_too=0 ;;
*) echo "usage: scripts/deps.sh [--no-test]" >&2; exit 2 ;;
esac

cc=${CC:-cc}
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

# Prints the Debian packages that are missing.
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

list=$(missing | tr '\n' ' ')
list=${list% }
if [ -z "$list" ]; then
    echo "deps: everything is there"
    exit 0
fi

# Without a compiler or pkg-config no library can be probed, so all are listed; the package manager knows better.
echo "deps: missing: $list"
sudo=''
[ "$(id -u)" = 0 ] || sudo='sudo '
if ! have apt-get; then
    if have dnf; then
        echo "deps: run: ${sudo}dnf install gcc make pkgconf-pkg-config jansson-devel libpng-devel zlib-devel libcmocka-devel" >&2
    elif have pacman; then
        echo "deps: run: ${sudo}pacman -S --needed gcc make pkgconf jansson libpng zlib cmocka" >&2
    else
        echo "deps: install a C11 compiler, make, pkg-config, jansson, libpng, zlib and, for the tests, cmocka" >&2
    fi
    exit 1
fi
if [ -n "$sudo" ]; then
    echo "deps: run: sudo apt-get update && sudo apt-get install -y --no-install-recommends $list" >&2
    exit 1
fi

quiet() {
    DEBIAN_FRONTEND=noninteractive "$@" >"$tmp/log" 2>&1 && return 0
    cat "$tmp/log" >&2
    echo "deps: failed: $*" >&2
    return 1
}

# A stale or unreachable mirror list need not be fatal: the packages may be at hand all the same.
quiet apt-get update || echo "deps: trying with the package lists that are there" >&2
# shellcheck disable=SC2086 # a list of packages
quiet apt-get install -y --no-install-recommends $list || exit 1
hash -r

list=$(missing | tr '\n' ' ')
list=${list% }
if [ -n "$list" ]; then
    echo "deps: still missing after installation: $list (compiler: $cc)" >&2
    exit 1
fi
echo "deps: installed what was missing"

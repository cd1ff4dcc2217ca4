#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The build itself: the line that make begins with, what a machine without a compiler is told, installation.
set -u

report() { # NAME STATUS [TEXT]
    if [ "$2" = 0 ]; then
        echo "ok - $1"
    else
        echo "not ok - $1"
        [ -z "${3-}" ] || printf '%s\n' "$3"
    fi
}

# The first line names everything that was resolved, and nothing is missing or empty.
line=$(make print-config PREFIX=/opt/x 2>/dev/null | head -n 1)
want='^dydit: config=release cc="(gcc|clang) [0-9][0-9.]*" arch=[a-z0-9_]+ isa=portable(,[a-z0-9]+)* jansson=[0-9.]+ libpng=[0-9.]+ cuda=(none|[0-9.]+ archs=[0-9a-z,]+ nvtx=[01]) prefix=/opt/x$'
[[ $line =~ $want ]]
report "make prints the resolved configuration first" $? "$line"

line=$(make CONFIG=tsan help 2>/dev/null | head -n 1)
[[ $line == 'dydit: config=tsan '* ]]
report "the line names the configuration asked for" $? "$line"

[ "$(make print-config | wc -l)" = 1 ]
report "print-config prints that line only" $?

takes() { ${CC:-cc} "$@" -x c -fsyntax-only /dev/null 2>/dev/null; }
want=portable
if [ "$(uname -m)" = x86_64 ]; then
    want=portable,avx2,avx512
    ! takes -mavx512bf16 || want=$want,avx512bf16
    ! takes -mavx512bf16 -mamx-tile -mamx-bf16 || want=$want,amx
fi
[[ $line == *" isa=$want "* ]]
report "instruction sets follow the machine and the compiler" $? "$line"

# Without compiler and pkg-config make still reads the Makefile, and says what helps.
! text=$(make CC=no-such-compiler PKG_CONFIG=no-such-tool CONFIG=debug build/debug/flags 2>&1) &&
    [[ $text == *'missing: a C compiler, pkg-config.'*scripts/deps.sh* ]]
report "a bare machine is told about scripts/deps.sh" $? "$text"

! text=$(make CONFIG=fast 2>&1) && [[ $text == *'none of release, debug, asan, tsan, softisa'* ]]
report "an unknown configuration is refused" $? "$text"

line=$(make print-config CUDA=0 2>/dev/null)
[[ $line == *' cuda=none prefix='* ]]
report "CUDA=0 leaves CUDA out" $? "$line"
! text=$(make CUDA=1 NVCC=no-such-nvcc CONFIG=debug build/debug/cuda-flags 2>&1) &&
    [[ $text == *'CUDA=1: NVCC=no-such-nvcc is missing'*scripts/deps.sh\ --cuda* ]]
report "CUDA=1 without nvcc says what helps" $? "$text"

# CUDA is the plugin's alone, and that links it statically.
if command -v readelf >/dev/null; then
    text=$(readelf -d "$BUILD/dydit" "$BUILD"/libdydit*.so 2>/dev/null | grep -E 'NEEDED.*lib(cuda|cudart|cublas|cudnn|nv)')
    [ -z "$text" ] && readelf -d "$BUILD/dydit" | grep -q NEEDED
    report "nothing links a library of CUDA" $? "$text"
else
    echo "skip - nothing links a library of CUDA # no readelf"
fi
if [ -f "$BUILD/libdydit-cuda.so" ] && command -v nm >/dev/null; then
    text=$(nm -D --defined-only "$BUILD/libdydit-cuda.so" | awk '{ print $NF }')
    [ "$text" = dd_backend_open_v1 ]
    report "the plugin exports one function" $? "$text"
else
    echo "skip - the plugin exports one function # no plugin or no nm"
fi

# Only the interface is exported.
if [ -f "$BUILD/libdydit.so" ] && command -v nm >/dev/null; then
    text=$(nm -D --defined-only "$BUILD/libdydit.so" | awk '{ print $NF }' | grep -v '^dydit_')
    [ -z "$text" ] && nm -D --defined-only "$BUILD/libdydit.so" | grep -q ' dydit_version$'
    report "the shared library exports dydit_ names only" $? "$text"
else
    echo "skip - the shared library exports dydit_ names only # no shared library or no nm"
fi

# Install elsewhere, build a program against it by pkg-config, run it, uninstall without a trace.
root=$TEST_TMP/root
text=$(make install PREFIX=/usr DESTDIR="$root" 2>&1)
report "make install" $? "$text"
cat >"$TEST_TMP/user.c" <<'C'
#include <dydit.h>
#include <stdio.h>
int main(void) { return puts(dydit_version()) < 0; }
C
cat >>"$TEST_TMP/user.c" <<'C'
#ifndef DYDIT_VERSION_MAJOR
#error "no version"
#endif
C
export PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_PATH=$root/usr/lib/pkgconfig
# shellcheck disable=SC2046 # flags are words
text=$(${CC:-cc} -std=c99 -pedantic -Wall -Wextra -Werror -o "$TEST_TMP/user" "$TEST_TMP/user.c" \
    $(PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 pkg-config --cflags --libs dydit) 2>&1)
report "a C99 program builds against the installed library" $? "$text"
if [ -f "$BUILD/libdydit-cuda.so" ]; then
    cmp "$BUILD/libdydit-cuda.so" "$root/usr/lib/dydit/libdydit-cuda.so"
    report "the plugin is installed" $?
fi
version=$(pkg-config --modversion dydit)
unset PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_PATH
[ -n "$version" ] && [ "$(LD_LIBRARY_PATH=$root/usr/lib "$TEST_TMP/user" 2>&1)" = "$version" ]
report "it runs, and versions of header, library and pkg-config agree" $?
make uninstall PREFIX=/usr DESTDIR="$root" >/dev/null 2>&1
text=$(find "$root" ! -type d)
[ -z "$text" ]
report "make uninstall leaves no file" $? "$text"

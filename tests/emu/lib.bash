# SPDX-License-Identifier: MIT
# Shared by the scripts of this folder: sourced from the root of the project, leaves the shell in an empty folder; ends the
# script with the reason where the emulator cannot be built.
# shellcheck shell=bash disable=SC2034 # variables are for the scripts
set -u
make=${MAKE:-make}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
export TSAN_OPTIONS=halt_on_error=1 ASAN_OPTIONS=
root=$PWD
dydit=$root/build/release/dydit
tools=$root/build/release/tests/tools
glyphs=$root/models/glyphs.safetensors
small=$root/tests/golden/model_d64_h4_p2.safetensors
mkdir "$tmp/work" && cd "$tmp/work" || exit 1
began=$SECONDS

ok() { printf 'ok - %s\n' "$1"; }
not_ok() { # NAME [FILE with what happened]
    printf 'not ok - %s\n' "$1"
    [ -z "${2-}" ] || sed 's/^/#   /' "$2" | head -n 20
}
skip() { printf 'skip - %s # %s\n' "$1" "$2"; }
verdict() { if [ "$1" = 0 ]; then ok "$2"; else not_ok "$2" "${3-}"; fi; } # STATUS NAME [FILE]

for tool in "${PYTHON:-python3}" "${CXX:-g++}"; do
    command -v "$tool" >/dev/null 2>&1 || { skip "emulator" "$tool is missing"; exit 0; }
done
nvcc=$("$root/scripts/nvcc.sh" 2>"$tmp/out") || { skip "emulator" "$(cat "$tmp/out")"; exit 0; }

build() { # CONFIG TARGETS...
    "$make" --no-print-directory -C "$root" CONFIG="$1" "${@:2}" >"$tmp/build" 2>&1 && return 0
    tail -n 20 "$tmp/build" >"$tmp/tail"
    not_ok "build of $1" "$tmp/tail"
    return 1
}

# program NAME [ENV=...] COMMAND...: exit status 0, and it says of no test that it failed
program() {
    local status=0
    (cd "$root" && env "${@:2}") >"$tmp/out" 2>&1 </dev/null || status=$?
    ! grep -q '^not ok' "$tmp/out" && grep -q '^ok' "$tmp/out" || status=1
    verdict $status "$1: $(grep -c '^ok' "$tmp/out") checks" "$tmp/out"
}

# run NAME COMMAND...: exit status 0 and nothing on stderr
run() {
    local status=0
    "${@:2}" >"$tmp/out" 2>&1 </dev/null || status=$?
    [ ! -s "$tmp/out" ] || status=1
    verdict $status "$1" "$tmp/out"
}

# library PREFIX FILE VERSION CALLS...: a shared object of that name with these functions, in $tmp/lib
library() {
    local call
    rm -rf "$tmp/lib" && mkdir "$tmp/lib"
    for call in "${@:4}"; do echo "unsigned long $1$call(void) { return $3; }"; done >"$tmp/library.c"
    ${CC:-cc} -shared -fPIC -o "$tmp/lib/$2" "$tmp/library.c"
}

# opens NAME STATUS REGEX: what the loader $tmp/load finds in $tmp/lib
opens() {
    local status=0
    LD_LIBRARY_PATH=$tmp/lib "$tmp/load" >"$tmp/out" 2>&1 || status=$?
    [ $status = "$2" ] && grep -Eq "^$3\$" "$tmp/out"
    verdict $? "$1" "$tmp/out"
}

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Faults planted in the CUDA kernels and in the host side of their backend, each of which a test program, the emulator or
# the thread sanitizer must catch, in the expected words. mutants/*.def are the faults, mutants/plant.py makes programs of
# them: some faults of one file each, and none. Run by tests/run.sh in `test` mode as one shell test, or by hand; prints
# `ok - NAME`, `not ok - NAME`, `skip - NAME # REASON`.
#
#   mutants.sh [UNIT...]     the faults of mutants/UNIT.def; all but those of $late unless said otherwise
set -u
cd "$(dirname "$0")/../../.." || exit 1
make=${MAKE:-make}
plant=(env PYTHONDONTWRITEBYTECODE=1 "${PYTHON:-python3}" tests/checkkernel/device/mutants/plant.py)
jobs=${JOBS:-$(nproc 2>/dev/null || echo 2)}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
export TSAN_OPTIONS=halt_on_error=1
late=gemm_wgmma # takes as long as half of the others: its sums must be registers, so that loops stay unrolled
unset EMU_KERNELS EMU_ORDER # faulty kernels are not those that are to be executed

skip() { printf 'skip - %s # %s\n' "$1" "$2"; }

nvcc=$(scripts/nvcc.sh 2>"$tmp/why") || { skip "faults in CUDA kernels" "$(cat "$tmp/why")"; exit 0; }
for tool in "${PYTHON:-python3}" "${CXX:-g++}"; do
    command -v "$tool" >/dev/null 2>&1 || { skip "faults in CUDA kernels" "$tool is missing"; exit 0; }
done

curand_there() { printf '#include <curand_kernel.h>\n' | "$nvcc" -x cu -E - >/dev/null 2>&1; }

# known PLAN: without what this machine has no program for
known() { curand_there || sed -i '/|curand|/d' "$1"; }

# programs UNIT CONFIG FOLDER: those that the plan names, with the faulty kernels of FOLDER in place of those of the unit
programs() {
    local san='' inputs name
    [ "$2" != tsan ] || san=-fsanitize=thread
    EMU_CXXFLAGS='-Og -g0' CONFIG=$2 tests/emu/emucc "$3/faulty.o" "$3/faulty.cu" -fmad=false -I. -Itests/emu/lt -DDD_SM90A || return
    for name in $(cut -d '|' -f 3 "$3/plan" | sort -u); do
        inputs=$(tr ' ' '\n' <"build/$2/emu/$name.inputs" | grep -v "/emu/cuda/$1\.o\$")
        # shellcheck disable=SC2086 # words
        "${CXX:-g++}" $san -o "$3/$name" "$3/faulty.o" $inputs || return
    done
}

# plugins FOLDER: libdydit-emu.so without a fault in FOLDER/0, with each in FOLDER/NUMBER, and the program that looks
plugins() {
    local include file inputs
    include=$(dirname "$(realpath "$nvcc")")/../include
    ln -s "$PWD/build/release/emu/test_plugin" "$1/test_plugin"
    mkdir "$1/0" && ln -s "$PWD/build/release/libdydit-emu.so" "$1/0/libdydit-emu.so" || return
    for file in "$1"/[1-9]*/*.c; do
        inputs=$(tr ' ' '\n' <build/release/emu/plugin.inputs | grep -v "/emu/$(basename "$file" .c)\.o\$")
        "${CC:-cc}" -std=c11 -g -fPIC -fvisibility=hidden -I. -isystem "$include" -DDD_PLUGIN_NAME='"emu"' \
            -DDD_CUDA_ARCHS='"ptx80"' -c -o "$file.o" "$file" || return
        # shellcheck disable=SC2086 # words
        "${CXX:-g++}" -shared -Wl,--version-script=host/exec/plugin.map -o "$(dirname "$file")/libdydit-emu.so" "$file.o" $inputs ||
            return
    done
}

# look FOLDER NUMBER PROGRAM SETTINGS OPTIONS: with this fault
look() {
    # shellcheck disable=SC2086 # words, but no globs
    (set -f && env $4 DD_FAULT="$2" DYDIT_PLUGIN_PATH="$1/$2" timeout 120 "$1/$3" $5 >"$1/out" 2>&1 </dev/null)
}

say() { # ok|not_ok NAME FILE
    printf '%s - %s\n' "${1/_/ }" "$2"
    [ "$1" = ok ] || head -n 12 "$3" | sed 's/^/#   /'
}

# part UNIT CONFIG PART: the faults of one program; without a fault all must be well.
part() {
    local dir=$tmp/$1.$2.$3 planted=(programs "$1" "$2") number name program settings options want got words status
    mkdir "$dir"
    [ "$1" != plugin_cuda ] || planted=(plugins)
    if ! { "${plant[@]}" write "$1" "$3" "$dir" && known "$dir/plan" && "${planted[@]}" "$dir"; } >"$dir/out" 2>&1; then
        say not_ok "$1, $2: faults are planted and compiled" "$dir/out"
        return
    fi
    while IFS='|' read -r program settings options; do
        look "$dir" 0 "$program" "$settings" "$options" ||
            say not_ok "$1, $2, no fault: $settings $program $options" "$dir/out"
    done < <(cut -d '|' -f 3-5 "$dir/plan" | sort -u)
    while IFS='|' read -r number name program settings options want words; do
        status=0
        look "$dir" "$number" "$program" "$settings" "$options" || status=$?
        [ "$status" = 0 ] && got=passes || got=fails
        if [ $got = "$want" ] && grep -Eq -- "$words" "$dir/out"; then
            say ok "$1: $name"
        else
            sed -i "1i exit status $status; expected: $want, $words" "$dir/out"
            say not_ok "$1: $name" "$dir/out"
        fi
    done <"$dir/plan"
    rm -r "$dir"
}

# Called by itself, many at a time.
if [ "${1-}" = --part ]; then
    part "$2" "$3" "$4" >"$tmp/printed"
    cat "$tmp/printed"
    exit
fi

build() { # CONFIG
    local targets=("build/$1/emu/"{checkkernel,test_pack,test_tiles})
    [ "$1" != release ] || targets+=(emu build/release/emu/test_plugin)
    [ "$1" != release ] || ! curand_there || targets+=(build/release/emu/curand)
    "$make" --no-print-directory CONFIG="$1" "${targets[@]}"
}

if [ $# = 0 ]; then
    skip "faults in $late" "they take minutes: $0 $late"
    for def in tests/checkkernel/device/mutants/*.def; do
        [ "$(basename "$def" .def)" = "$late" ] || set -- "$@" "$(basename "$def" .def)"
    done
fi
"${plant[@]}" jobs "$@" >"$tmp/jobs" || { printf 'not ok - the table of faults\n'; exit 1; }
echo 'int main(void) { return 0; }' >"$tmp/probe.cpp"
for config in release tsan; do
    if [ $config = tsan ] && ! { "${CXX:-g++}" -fsanitize=thread -o "$tmp/probe" "$tmp/probe.cpp" && "$tmp/probe"; } >/dev/null 2>&1; then
        skip "faults in CUDA kernels, races" "-fsanitize=thread does not work here"
        sed -i '/ tsan /d' "$tmp/jobs"
    elif grep -q " $config " "$tmp/jobs" && ! build $config >"$tmp/out" 2>&1; then
        say not_ok "build of $config" "$tmp/out"
        exit 1
    fi
done
! grep -q '^noise ' "$tmp/jobs" || curand_there || skip "faults in noise that cuRAND shows" "curand_kernel.h is missing"
xargs -P "$jobs" -L 1 "$0" --part <"$tmp/jobs"

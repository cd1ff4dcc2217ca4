#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Faults planted in the CUDA kernels, each of which checkkernel or the emulator must catch, in the expected words.
# mutants/*.def are the faults, mutants/plant.py makes programs of them: some faults of one file each, and none. Run by
# tests/run.sh in `test` mode as one shell test, or by hand; prints `ok - NAME`, `not ok - NAME`, `skip - NAME # REASON`.
#
#   mutants.sh [UNIT...]     the faults of mutants/UNIT.def; all unless said otherwise
set -u
cd "$(dirname "$0")/../../.." || exit 1
make=${MAKE:-make}
plant=(env PYTHONDONTWRITEBYTECODE=1 "${PYTHON:-python3}" tests/checkkernel/device/mutants/plant.py)
jobs=${JOBS:-$(nproc 2>/dev/null || echo 2)}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
export TSAN_OPTIONS=halt_on_error=1
unset EMU_KERNELS EMU_ORDER # faulty kernels are not those that are to be executed

skip() { printf 'skip - %s # %s\n' "$1" "$2"; }

scripts/nvcc.sh >/dev/null 2>"$tmp/why" || { skip "faults in CUDA kernels" "$(cat "$tmp/why")"; exit 0; }
for tool in "${PYTHON:-python3}" "${CXX:-g++}"; do
    command -v "$tool" >/dev/null 2>&1 || { skip "faults in CUDA kernels" "$tool is missing"; exit 0; }
done

# program UNIT CONFIG FOLDER: checkkernel with the faulty kernels of FOLDER in place of those of the unit
program() {
    local san='' inputs
    [ "$2" != tsan ] || san=-fsanitize=thread
    inputs=$(tr ' ' '\n' <"build/$2/emu/checkkernel.inputs" | grep -v "/emu/cuda/$1\.o\$")
    # shellcheck disable=SC2086 # words
    EMU_CXXFLAGS='-Og -g0' CONFIG=$2 tests/emu/emucc "$3/faulty.o" "$3/faulty.cu" -fmad=false -I. &&
        "${CXX:-g++}" $san -o "$3/checkkernel" "$3/faulty.o" $inputs
}

# look FOLDER NUMBER OPS OPTIONS: with this fault
look() {
    # shellcheck disable=SC2086 # words, but no globs
    (set -f && DD_FAULT=$2 timeout 120 "$1/checkkernel" --impl=emu --quick --op="$3" $4 >"$1/out" 2>&1 </dev/null)
}

say() { # ok|not_ok NAME FILE
    printf '%s - %s\n' "${1/_/ }" "$2"
    [ "$1" = ok ] || head -n 12 "$3" | sed 's/^/#   /'
}

# part UNIT CONFIG PART: the faults of one program; without a fault all must be well.
part() {
    local dir=$tmp/$1.$2.$3 number name ops options words status
    mkdir "$dir"
    if ! { "${plant[@]}" write "$1" "$3" "$dir" && program "$1" "$2" "$dir"; } >"$dir/out" 2>&1; then
        say not_ok "$1, $2: faults are planted and compiled" "$dir/out"
        return
    fi
    while IFS='|' read -r ops options; do
        look "$dir" 0 "$ops" "$options" || say not_ok "$1, $2, no fault: $ops $options" "$dir/out"
    done < <(cut -d '|' -f 3-4 "$dir/plan" | sort -u)
    while IFS='|' read -r number name ops options words; do
        status=0
        look "$dir" "$number" "$ops" "$options" || status=$?
        if [ $status != 0 ] && grep -Eq -- "$words" "$dir/out"; then
            say ok "$1: $name"
        else
            sed -i "1i exit status $status, expected: $words" "$dir/out"
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

"${plant[@]}" jobs "$@" >"$tmp/jobs" || { printf 'not ok - the table of faults\n'; exit 1; }
echo 'int main(void) { return 0; }' >"$tmp/probe.cpp"
for config in release tsan; do
    if [ $config = tsan ] && ! { "${CXX:-g++}" -fsanitize=thread -o "$tmp/probe" "$tmp/probe.cpp" && "$tmp/probe"; } >/dev/null 2>&1; then
        skip "faults in CUDA kernels, races" "-fsanitize=thread does not work here"
        sed -i '/ tsan /d' "$tmp/jobs"
    elif grep -q " $config " "$tmp/jobs" &&
        ! "$make" --no-print-directory CONFIG=$config "build/$config/emu/checkkernel" >"$tmp/out" 2>&1; then
        say not_ok "build of $config" "$tmp/out"
        exit 1
    fi
done
xargs -P "$jobs" -L 1 "$0" --part <"$tmp/jobs"

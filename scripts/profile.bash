# SPDX-License-Identifier: MIT
# Shared by profile_nsys.sh and profile_ncu.sh, sourced from the root of the project or of a bundle.
# shellcheck shell=bash

# find_dydit: the program's path in $dydit, or the end
find_dydit() {
    dydit=${DYDIT:-build/release/dydit}
    [ -n "${DYDIT-}" ] || [ ! -x bin/dydit ] || dydit=bin/dydit # in a bundle
    [ -x "$dydit" ] || { echo "profile: $dydit is missing; run make first" >&2; exit 1; }
}

# bench_command STEPS [FLAGS...]: in $bench, the benchmark that is profiled: defaults, but for flags that are among those
# given (lists add up, and a model is one or the other)
bench_command() {
    local steps=$1 given
    shift
    given=" $* " bench=("$dydit" bench --backend cuda)
    [[ $given == *' --ckpt'[\ =]* ]] || default --model DyDiT-XL/2
    default --mode tdw+sdt
    default --ratio 0.5
    default --batch-size 16
    default --steps "$steps"
    default --warmup 1
    default --repeat 1
    bench+=("$@")
}

# default FLAG VALUE: of bench_command
default() { [[ $given == *" $1"[\ =]* ]] || bench+=("$1" "$2"); }

# show COMMAND...: as a shell would read it
show() {
    printf '%q ' "$@"
    printf '\n'
}

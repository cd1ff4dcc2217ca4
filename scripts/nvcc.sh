#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Prints the path of the nvcc that the project builds with: $NVCC if that is set; otherwise the first one of CUDA 13 or
# newer among nvcc on PATH, build/cuda (scripts/deps.sh --cuda) and $CUDA_HOME, by default /usr/local/cuda.
# Where there is none, the exit status is 1 and stderr says why. CUDA=0 means none.
set -u
cd "$(dirname "$0")/.." || exit 1
oldest=13

no() { echo "$1" >&2; exit 1; }

# release NVCC: as in "13.0", or nothing
release() { "$1" --version 2>/dev/null | sed -n 's/^.* release \([0-9][0-9]*\.[0-9]*\).*/\1/p'; }

[ "${CUDA-}" != 0 ] || no "CUDA=0"

why="nvcc is missing"
if [ -n "${NVCC-}" ]; then
    set -- "$NVCC"
    why="NVCC=$NVCC is missing"
else
    set -- nvcc "$PWD/build/cuda/bin/nvcc" "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc"
fi
for candidate in "$@"; do
    path=$(type -P "$candidate") || continue
    # A link to nvcc does not find its own parts; what is called nvcc and links elsewhere (ccache) has to stay.
    real=$(readlink -f "$path")
    [ "${real##*/}" = nvcc ] || real=$(cd "$(dirname "$path")" && pwd)/${path##*/}
    path=$real
    found=$(release "$path")
    if [ -z "$found" ]; then
        why="$path does not say of which CUDA it is"
    elif [ "${found%.*}" -ge $oldest ]; then
        echo "$path"
        exit 0
    else
        why="$path is of CUDA $found, older than $oldest"
    fi
done
no "$why"

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes sure that there is an nvcc which builds a program; where scripts/nvcc.sh finds none, the packages of
# scripts/cuda_packages.txt are fetched by pip into build/cuda, laid out as CUDA's installer does. Run by scripts/deps.sh --cuda.
set -u
cd "$(dirname "$0")/.." || exit 1
packages=scripts/cuda_packages.txt
home=build/cuda
python=${PYTHON:-python3}
unset CUDA # whoever runs this wants it
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

fail() { echo "deps: $1" >&2; exit 1; }

# first_line FILE REGEX: of a log, for a sentence
first_line() { grep -m 1 -E -e "$2" "$1" || tail -n 1 "$1"; }

# builds NVCC: headers, front end, assembler, device library and the runtime's archive, in one program
builds() {
    printf '%s\n' '#include <cuda_runtime.h>' '#include <cuda_bf16.h>' '#include <cuda_profiler_api.h>' \
        '__global__ void k(__nv_bfloat16 *x) { *x = __float2bfloat16(expf(__bfloat162float(*x))); }' \
        'int main() { k<<<1, 1>>>(nullptr); return cudaGetLastError() == cudaSuccess; }' >"$tmp/probe.cu"
    "$1" -arch=sm_80 -o "$tmp/probe" "$tmp/probe.cu" >"$tmp/log" 2>&1 ||
        fail "$1 cannot build a program: $(first_line "$tmp/log" 'error|not found|cannot|No such')"
}

# An older list than this project's is fetched anew.
current() { cmp -s $packages $home/packages.txt; }

if nvcc=$(scripts/nvcc.sh 2>"$tmp/why") && { ! [ "$nvcc" -ef $home/bin/nvcc ] || current; }; then
    builds "$nvcc"
    echo "deps: CUDA is there: $nvcc"
    exit 0
fi
[ -z "${NVCC-}" ] || fail "$(cat "$tmp/why")"
case $(uname -s)/$(uname -m) in
Linux/x86_64 | Linux/aarch64) ;;
*) fail "CUDA cannot be had for $(uname -s) on $(uname -m)" ;;
esac

echo "deps: fetching CUDA's compiler from PyPI ($(sed -n 's/^# \([0-9]* MB\) to download.*/\1/p' $packages))"
mkdir -p build
part=$(mktemp -d $home.XXXXXX) || fail "a folder in build/ cannot be made"
trap 'rm -rf "$tmp" "$part"' EXIT
"$python" -m pip install --disable-pip-version-check --no-input --retries 2 --timeout 20 --require-hashes --no-deps \
    --only-binary=:all: --no-compile --target "$part" -r $packages >"$tmp/log" 2>&1 ||
    fail "CUDA cannot be fetched: pip: $(first_line "$tmp/log" '^ERROR' | sed 's/^ERROR: *//')"

# The packages share this folder; NVIDIA's licences are in *.dist-info.
new=$part/nvidia/cu13
[ -x "$new/bin/nvcc" ] || fail "CUDA's packages have no bin/nvcc where it is expected"
mkdir "$new/dist-info" && mv "$part"/*.dist-info "$new/dist-info" && cp $packages "$new/packages.txt" || exit 1
ln -s lib "$new/lib64"
for so in "$new"/lib/*.so.*; do ln -s "${so##*/}" "${so%%.so.*}.so"; done
builds "$PWD/$new/bin/nvcc"

# Moved as a whole: an interrupted run leaves nothing that looks complete.
rm -rf $home && mv "$new" $home || exit 1
echo "deps: CUDA is there: $PWD/$home/bin/nvcc ($(du -sm $home | cut -f 1) MB, $SECONDS s)"

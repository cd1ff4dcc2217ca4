#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Asks an installed cuDNN, without a GPU, how it would do the convolutions of a decoder on an A100 and an H100: are the graphs of
# host/exec/plugin_cuda_dnn.c such as it takes, and by which of its engines? The devices are described by scripts/cudnn/*.json.
# Not a part of make test: it needs the library, half a gigabyte, and takes a minute.
#
#   scripts/cudnn_plans.sh [FOLDER of libcudnn.so.9, by default that of the toolkit]
#
# Engines that are compiled at run time want a driver, at the end to load what was compiled. Without one this uses the
# toolkit's libcuda.so, whose calls all fail: such an engine has understood the graph and compiled code for it when it ends in
# CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER. Exit status: 77 where the library or the toolkit is missing, 1 where a call
# failed otherwise.
set -eu
cd "$(dirname "$0")/.."
nvcc=$(scripts/nvcc.sh 2>&1) || { echo "cudnn_plans: skipped, $nvcc"; exit 77; }
cuda=$(dirname "$(dirname "$(realpath "$nvcc")")")
lib=${1:-}
for folder in "$cuda/lib64" "$cuda/lib" /usr/lib/x86_64-linux-gnu; do [ -n "$lib" ] || [ ! -e "$folder/libcudnn.so.9" ] || lib=$folder; done
[ -n "$lib" ] || { echo "cudnn_plans: skipped, there is no libcudnn.so.9; name its folder"; exit 77; }

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
${CC:-cc} -std=c11 -O1 -I. -isystem "$cuda/include" -o "$tmp/plans" tests/emu/cudnn/plans.c \
    host/exec/plugin_cuda_{dnn,dnn_load,library}.c -L"$lib" -L"$cuda/lib64" -L"$cuda/lib" -lcudart -ldl -pthread
path=$lib:$cuda/lib64:$cuda/lib
if [ -z "$(ldconfig -p 2>/dev/null | sed -n '/libcuda\.so\.1 /p')" ] && [ -e "$cuda/lib64/stubs/libcuda.so" ]; then
    ln -s "$(realpath "$cuda/lib64/stubs/libcuda.so")" "$tmp/libcuda.so.1"
    path=$tmp:$path
    echo "no driver: CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER is as far as an engine gets that is compiled at run time"
fi
failed=0
for device in scripts/cudnn/*.json; do
    status=0
    echo "$(basename "$device" .json): $(sed -n 's/^ *"deviceName": "\(.*\)",/\1/p' "$device")"
    LD_LIBRARY_PATH=$path "$tmp/plans" "$device" >"$tmp/out" 2>&1 || status=$?
    sed 's/^/  /' "$tmp/out"
    [ $status != 77 ] || exit 77
    # With the driver's stand-in only its own failures are to be expected.
    if [ ! -e "$tmp/libcuda.so.1" ]; then [ $status = 0 ] || failed=1
    elif grep ': CUDNN_STATUS_' "$tmp/out" | grep -qv CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER; then failed=1
    elif [ $status != 0 ] && ! grep -q CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER "$tmp/out"; then failed=1; fi
done
exit $failed

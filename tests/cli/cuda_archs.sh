#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# scripts/cuda_archs.sh: devices of the machine to architectures, architectures to options of nvcc. Neither nvcc nor a driver
# is needed: both are played.
. tests/cli/lib.bash

archs=$ROOT/scripts/cuda_archs.sh
bin=$TMP/bin
mkdir "$bin"
PATH=$bin:$PATH
unset CUDA NVCC
cat >"$bin/nvcc" <<'SH'
#!/bin/sh
case $1 in
--version) echo "Cuda compilation tools, release 13.0, V13.0.88" ;;
--list-gpu-arch) printf 'compute_%s\n' 75 80 86 87 88 89 90 100 110 103 120 121 ;;
esac
SH
chmod +x "$bin/nvcc"

# devices LINES: what nvidia-smi prints from now on
devices() {
    printf '#!/bin/sh\n[ "$*" = "--query-gpu=compute_cap --format=csv,noheader" ] && printf %s\n' "'$1'" >"$bin/nvidia-smi"
    chmod +x "$bin/nvidia-smi"
}

devices '9.0\n'
equal "one device" "90 ptx80" "$("$archs")"
devices '12.0\n8.9\n8.9\n9.0\n'
equal "several devices, each architecture once" "89 90 120 ptx80" "$("$archs")"
devices '7.5\n8.6\n'
equal "devices older than the kernels are left out" "86 ptx80" "$("$archs")"
devices '13.0\n8.0\n'
equal "devices newer than nvcc are left out" "80 ptx80" "$("$archs")"
devices 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.\n'
equal "a driver that fails" "ptx80" "$("$archs")"
devices '[N/A]\n'
equal "a device that does not say" "ptx80" "$("$archs")"
printf '#!/bin/sh\nexit 9\n' >"$bin/nvidia-smi"
equal "no device" "ptx80" "$("$archs")"
devices '9.0\n'

equal "all" "80 86 89 90 100 120 ptx80" "$("$archs" all)"
equal "a list between commas" "90 ptx90" "$("$archs" 90,ptx90)"
equal "a list between spaces, in its order, each once" "100 80 ptx80" "$("$archs" "100 80" 100,ptx80)"
equal "options of nvcc" "-gencode arch=compute_90,code=sm_90 -gencode arch=compute_80,code=compute_80" "$("$archs" --flags 90 ptx80)"
equal "options for the devices" "-gencode arch=compute_90,code=sm_90 -gencode arch=compute_80,code=compute_80" "$("$archs" --flags)"
equal "options for all" 7 "$("$archs" --flags all | grep -o -e -gencode | wc -l)"

# wrong REGEX ARGS...
wrong() {
    status=0
    "$archs" "${@:2}" >"$OUT" 2>"$ERR" || status=$?
    if [ "$status" = 2 ] && [ ! -s "$OUT" ] && [ "$(wc -l <"$ERR")" = 1 ] && grep -Eq "^dydit: ARCHS: $1" "$ERR"; then
        ok "refused: ${*:2}"
    else
        not_ok "refused: ${*:2}" "exit status $status"
    fi
}
wrong "'sm_90' is neither" sm_90
wrong "'90a0' is neither" 80,90a0
wrong "'9.0' is neither" --flags 9.0
wrong "'ptx' is neither" ptx
wrong "'all' is neither" 90 all
wrong "'--flag' is neither" --flag
wrong "75 is older than 80" 75
wrong "ptx70 is older than 80" 90,ptx70
wrong "nvcc cannot build for 95, only for 75 80 .* 121" 95

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes the folder that scripts/gpu_check.sh takes to a machine with a GPU, its driver and a C library alone: the program with
# its format libraries inside, the CUDA backend for all architectures, tests and their data. Run by `make gpu-bundle`.
#
#   scripts/gpu_bundle.sh [--backend cuda|emu] [DIR]   default: cuda, build/gpu-bundle (build/gpu-bundle-emu); and DIR.tar.gz,
#                                                      at most 64 MiB
#
# ARCHS: as for make, all by default. The programs run where the C library is not older than the one here.
set -eu
cd "$(dirname "$0")/.."
most=64 # MiB
backend=cuda out=
while [ $# -gt 0 ]; do
    case $1 in
    --backend) backend=${2-}; shift ;;
    -*) echo "usage: scripts/gpu_bundle.sh [--backend cuda|emu] [DIR]" >&2; exit 2 ;;
    *) out=$1 ;;
    esac
    shift
done
b=build/release
case $backend in
cuda | emu) ;;
*) echo "gpu-bundle: --backend is cuda or emu, not '$backend'" >&2; exit 2 ;;
esac
out=${out:-build/gpu-bundle$([ $backend = cuda ] || echo "-$backend")}

"${MAKE:-make}" --no-print-directory CONFIG=release ARCHS="${ARCHS-all}" gpu-programs $b/gpu/checkkernel-$backend $b/libdydit-$backend.so

part=$out.part
rm -rf "$part"
mkdir -p "$part/bin" "$part/tests/golden" "$part/models" "$part/scripts" "$part/bench/peers"
install -s -m 755 $b/gpu/dydit $b/gpu/test_* $b/gpu/random_model $b/gpu/st_look "$part/bin"
install -m 755 $b/libdydit-$backend.so "$part/bin"
install -s -m 755 $b/gpu/checkkernel-$backend "$part/bin/checkkernel"
cmocka=$(ldd $b/gpu/test_session | sed -n 's/^.*libcmocka[^ ]* => \([^ ]*\).*/\1/p')
install -m 644 "$cmocka" "$part/bin/$(ldd $b/gpu/test_session | sed -n 's/^[^l]*\(libcmocka[^ ]*\) =>.*/\1/p')"
cp tests/golden/*.safetensors "$part/tests/golden"
cp models/glyphs.safetensors "$part/models"
cp scripts/gpu_check.sh scripts/gpu_parts.sh scripts/gpu_tables.sh scripts/profile.bash scripts/profile_nsys.sh scripts/profile_ncu.sh \
    "$part/scripts"
cp bench/torch_dit.py bench/PROFILING.md "$part/bench"
cp bench/peers/model.py "$part/bench/peers"
{ git describe --always --dirty --exclude '*' --abbrev=12 2>/dev/null || echo unknown; } >"$part/commit"
echo "$backend" >"$part/backend"

rm -rf "$out" && mv "$part" "$out"
tar -czf "$out.tar.gz" -C "$(dirname "$out")" "$(basename "$out")"
size=$(($(wc -c <"$out.tar.gz") >> 20))
[ "$size" -lt $most ] || { echo "gpu-bundle: $out.tar.gz has $size MiB, more than $most" >&2; exit 1; }
echo "gpu-bundle: $out and $out.tar.gz, $size MiB; there: scripts/gpu_check.sh"

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A decoder with the shapes of sd-vae-ft-ema and random weights against diffusers: 256 x 256 pixels under all names that
# circulate, and 512 x 512 in tiles, within 2e-4. Not a part of make test: it needs a Python with torch, diffusers and
# safetensors, 600 MB of disk and some minutes.
#
#   PYTHON=python3 scripts/check_vae.sh [flags of dydit decode, e.g. --backend cuda]
set -eu
cd "$(dirname "$0")/.."
build=build/release
limit=${LIMIT:-2e-4}
[ -x $build/dydit ] && [ -x $build/tests/tools/st_look ] || { echo "check_vae: run 'make all unit' first" >&2; exit 1; }

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" tests/golden/make_vae.py --size "$tmp/vae.safetensors"

# held NAME VAE IN WANT [FLAGS]: decodes latents golden.IN, compares with golden.WANT
held() {
    local name=$1 vae=$2 in=$3 want=$4 began=$SECONDS
    shift 4
    $build/dydit decode --vae "$vae" --in "$tmp/vae.safetensors" --in-prefix "golden.${in%x}" \
        --pictures-out "$tmp/out.safetensors" -q "$@"
    $build/tests/tools/st_look compare "$tmp/vae.safetensors" "golden.$want" "$tmp/out.safetensors" pictures "$limit"
    echo "ok    $name, $((SECONDS - began)) s"
}
held 'diffusers, 256 x 256' "$tmp/vae.safetensors" x out "$@"
held 'diffusers, old names' "$tmp/vae-old.safetensors" x out "$@"
held 'CompVis' "$tmp/vae-compvis.safetensors" x out "$@"
held '512 x 512 in tiles' "$tmp/vae.safetensors" tiled_x tiled_out --vae-tiling "$@"

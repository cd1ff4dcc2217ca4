#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Times a dynamic run and the complete model side by side in one process (`dydit sample --compare-dense` alternates them step by
# step) and writes the figures with the machine they were taken on.
#
#     bench/dynamic_vs_dense.sh OUT.json xl            a DyDiT-XL/2 with random weights, one picture, guided
#     bench/dynamic_vs_dense.sh OUT.json letters       the demo model, 26 letters
set -eu
cd "$(dirname "$0")/.."
[ $# -eq 2 ] || { sed -n '3,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
out=$1 what=$2
build=${BUILD:-build/release}
"${MAKE:-make}" -s all "$build/tests/tools/random_model" >/dev/null
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

case $what in
xl)
    "$build/tests/tools/random_model" "$tmp/xl.safetensors" DyDiT-XL/2 32 0.62
    shown='dydit sample --ckpt RANDOM-XL --steps ddim10 --cfg-scale 1.5 --class-labels 207 --compare-dense --json'
    "$build/dydit" sample --ckpt "$tmp/xl.safetensors" --steps ddim10 --cfg-scale 1.5 --class-labels 207 \
        --latents-out "$tmp/latents" --compare-dense --json >"$tmp/run.json"
    ;;
letters)
    shown='dydit sample --ckpt models/glyphs.safetensors --steps ddim50 --cfg-scale 2 --compare-dense --json'
    "$build/dydit" sample --ckpt models/glyphs.safetensors --steps ddim50 --cfg-scale 2 -o "$tmp/x.png" \
        --compare-dense --json >"$tmp/run.json"
    ;;
*) echo "bench: '$what' is neither xl nor letters" >&2; exit 2 ;;
esac

cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
flags=$(grep -m 1 '^flags' /proc/cpuinfo | tr ' ' '\n' | grep -E '^(avx2|fma|avx512f|avx512_bf16|amx_bf16)$' | tr '\n' ' ')
{
    printf '{\n"schema": "dydit-side-by-side",\n"schema_version": 1,\n'
    printf '"date": "%s",\n"commit": "%s",\n' "$(date -u +%Y-%m-%d)" "$(git describe --always --dirty 2>/dev/null || echo unknown)"
    printf '"machine": {"cpu": "%s", "flags": "%s", "cpus": %s},\n' "$cpu" "${flags% }" "$(nproc)"
    printf '"command": "%s",\n"run":\n' "$shown"
    cat "$tmp/run.json"
    printf '}\n'
} >"$out"
sed -n 's/^ *"\(seconds\|dense_seconds\|mac_ratio\|speedup\|realised\)": /\1 /p' "$out"

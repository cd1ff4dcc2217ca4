#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Holds the anonymous memory of runs (RssAnon of the system, polled) to the `peak_bytes` that --dry-run says, for the demo
# model and a DyDiT-S/2 with random weights (--dense: what is kept of routed tokens is placed for all of them, and pages behind those
# that were kept are never touched), without a policy and with branches kept in float32 and bf16. Fails where they
# are further apart than 5 %. Prints a table.
#
#   scripts/memory_check.sh [BUILD]     build/release
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0

# watch PID: the largest RssAnon in bytes while it runs
watch() {
    local most=0 now
    while now=$(awk '/^RssAnon/ { print $2 * 1024 }' "/proc/$1/status" 2>/dev/null) && [ -n "$now" ]; do
        [ "$now" -gt "$most" ] && most=$now
        sleep 0.01
    done
    echo "$most"
}

# compare NAME WORDS...
compare() {
    local name=$1 said had
    shift
    said=$("$build/dydit" sample "$@" --dry-run --json | "$build/tests/tools/st_look" json /dev/stdin peak_bytes)
    "$build/dydit" sample "$@" -q --latents-out "$tmp/out.st" &
    had=$(watch $!)
    wait $!
    awk -v n="$name" -v s="$said" -v h="$had" 'BEGIN {
        printf "| %-24s | %10.1f | %10.1f | %+6.1f %% |\n", n, s / 1e6, h / 1e6, 100 * (h / s - 1)
        exit !(h / s - 1 <= 0.05 && h / s - 1 >= -0.05) }' || failed=1
}

"$build/tests/tools/random_model" "$tmp/s2.safetensors" DyDiT-S/2
demo=(--ckpt models/glyphs.safetensors --backend cpu --precision fp32 --steps ddim6 -l 0-25,0-25 -b 52)
small=(--ckpt "$tmp/s2.safetensors" --backend cpu --precision fp32 --steps ddim3 -l 0-7 -b 8 --dense)
echo '| run                      | dry run MB | measured MB | differs |'
echo '|---|---|---|---|'
compare "demo, batch 52" "${demo[@]}"
for cache in f32 bf16; do compare "demo, fora:3, $cache" "${demo[@]}" --policy fora:interval=3 --cache-dtype $cache; done
compare "S/2, batch 8" "${small[@]}"
for cache in f32 bf16; do compare "S/2, fora:3, $cache" "${small[@]}" --policy fora:interval=3 --cache-dtype $cache; done
exit $failed

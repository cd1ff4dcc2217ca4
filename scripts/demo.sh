#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Draws the demo: an alphabet, the map of computed tokens in the same layout, and the executed plan. Run by `make demo`
# after the build; BUILD is the folder of the program. Fails if a file is missing in the end.
set -eu
cd "$(dirname "$0")/.."

build=${BUILD:-build/${CONFIG:-release}}
model=models/glyphs.safetensors
out=build/demo
dydit=$build/dydit
[ -x "$dydit" ] || { echo "demo: $dydit is missing; run make first" >&2; exit 1; }
[ -f "$model" ] || { echo "demo: $model is missing" >&2; exit 1; }

mkdir -p "$out"
rm -f "$out"/alphabet.png "$out"/alphabet-tokens.png "$out"/plan.svg "$out"/figures.json
echo "Drawing the alphabet, and once more with the complete model to compare ..."
"$dydit" sample --ckpt "$model" --class-labels A-Z --steps ddim50 --cfg-scale 2 --seed 800 --zoom 3 --nrow 13 \
    --compare-dense -o "$out/alphabet.png" --token-map "$out/alphabet-tokens.png" --plan-svg "$out/plan.svg" \
    --json >"$out/figures.json" 2>"$out/log" || { cat "$out/log" >&2; exit 1; }

for f in alphabet.png alphabet-tokens.png plan.svg figures.json; do
    [ -s "$out/$f" ] || { echo "demo: $out/$f is missing" >&2; exit 1; }
done

# figure NAME: a number of figures.json, two digits after the point
figure() {
    sed -n "s/^ *\"$1\": *\([0-9][0-9.e+-]*\).*/\1/p" "$out/figures.json" | head -n 1 |
        awk '{ printf "%.2f", $1; found = 1 } END { exit !found }' ||
        { echo "demo: $out/figures.json has no $1" >&2; exit 1; }
}

mac_ratio=$(figure mac_ratio)
speedup=$(figure speedup)
seconds=$(figure seconds)
dense_seconds=$(figure dense_seconds)

cat <<END

Look at
  $out/alphabet.png         26 letters, drawn by the model
  $out/alphabet-tokens.png  where the model computed: bright tokens always, dark ones never
  $out/plan.svg             which heads and channel groups ran at every timestep
  $out/figures.json         every number of this run

The complete model multiplies $mac_ratio times as often as what ran here ($seconds s).
The complete model took $dense_seconds s on this machine: measured speed-up $speedup.
END

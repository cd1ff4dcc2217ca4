#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The demo model as its users run it: DyDiT's own 250 steps, the demo sheet, and a comparison with the complete model.
. tests/cli/lib.bash

refused 2 "'DYDIT'" sample --ckpt "$GLYPHS" -l DYDIT
run sample --ckpt "$GLYPHS" -l D,Y,D,I,T --cfg-scale 2 -o five.png --json
equal "250 steps" 0 "$status"
equal "rows of 250 guided steps" 2500 "$(json "$OUT" forward_rows)"
equal "a grid of five" 138x70 "$(png_size five.png)"

run sample --ckpt "$GLYPHS" --steps ddim50 --cfg-scale 2 --json -o a.png --compare-dense
ratio=$(json "$OUT" mac_ratio) speedup=$(json "$OUT" speedup)
check "the routers save about half of the MACs ($ratio)" awk -v r="$ratio" 'BEGIN { exit !(r > 1.6 && r < 2.4) }'
check "both were timed" awk -v s="$speedup" 'BEGIN { exit !(s > 0) }'
echo "note - speed-up $speedup, $ratio times fewer MACs"

run sample --ckpt "$GLYPHS" -l A-D --steps ddim50 --cfg-scale 2 --precision fp32 --latents-in "$GOLDEN/demo_expected.safetensors" \
    --in-prefix golden. --trajectory-out t.st -q
"$LOOK" raw t.st x 49 1 >last.raw
check "the trajectory has 50 steps" test -s last.raw
check "it follows the recorded one" "$LOOK" compare t.st x "$GOLDEN/demo_expected.safetensors" golden.ddim.x 0.05

cd "$ROOT" || exit 1
if BUILD=$BUILD scripts/demo.sh >"$OUT" 2>"$ERR"; then ok "scripts/demo.sh"; else not_ok "scripts/demo.sh" "$(tail -n 3 "$OUT")"; fi
equal "the alphabet, 13 x 2 at zoom 3" 1332x210 "$(png_size build/demo/alphabet.png)"
equal "its token map" 1332x210 "$(png_size build/demo/alphabet-tokens.png)"
check "speed-up is printed" grep -q 'speed-up [0-9]' "$OUT"
if mv build/demo/alphabet.png "$TMP/" && ! BUILD=/nonexistent scripts/demo.sh >"$OUT" 2>"$ERR"; then
    ok "without a program the demo fails"
else
    not_ok "without a program the demo fails"
fi
mv "$TMP/alphabet.png" build/demo/

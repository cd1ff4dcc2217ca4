#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Forward passes on the golden inputs: results against those of the independent implementation.
# sanitize: yes
. tests/cli/lib.bash

for backend in cpu ref; do
    for model in "$D64" "$D128" "$D144"; do
        name="$(basename "$model" .safetensors), $backend"
        run eval --ckpt "$model" --backend $backend --precision fp32 --in "$model" --in-prefix golden. --out o.st --trace --cfg-scale 4
        equal "$name: exit status" 0 "$status"
        check "$name: out" "$LOOK" compare o.st out "$model" golden.out 2e-5
        check "$name: hidden" "$LOOK" compare o.st hidden "$model" golden.hidden 2e-5
        check "$name: cfg_out" "$LOOK" compare o.st cfg_out "$model" golden.cfg_out 1e-4
        for t in heads groups tokens; do check "$name: $t" "$LOOK" compare o.st $t "$model" golden.$t 0; done
        run eval --ckpt "$model" --backend $backend --precision fp32 --in "$model" --in-prefix golden. --out d.st --dense -q
        check "$name: dense out" "$LOOK" compare d.st out "$model" golden.static_out 2e-5
        run eval --ckpt "$model" --backend $backend --precision fp32 --in "$model" --in-prefix golden. --out m.st --token-masks "$model" -q
        check "$name: with given masks" "$LOOK" compare m.st out o.st out 1e-6
    done
done
run eval --ckpt "$D64" --in "$D64" --in-prefix golden. --out o.st
check "the file is named" grep -q 'wrote o.st' "$OUT"
check "without --trace there is only out" sh -c '! "$1" print o.st hidden' sh "$LOOK"
rm -f ./*

# ---- refused ----
refused 3 'x' eval --ckpt "$D64" --in "$D64" --out o.st
refused 3 'golden.x' eval --ckpt "$D64" --in "$D144" --in-prefix golden. --out o.st
refused 3 'not exist' eval --ckpt "$D64" --in none --out o.st
refused 3 'tokens' eval --ckpt "$D64" --in "$D64" --in-prefix golden. --out o.st --token-masks "$D144"
refused 2 'would overwrite' eval --ckpt "$D64" --in "$D64" --in-prefix golden. --out "$D64"
"$EDIT" "$D64" "$TMP/in.st" nan golden.x
refused 3 'golden.x' eval --ckpt "$D64" --in "$TMP/in.st" --in-prefix golden. --out o.st
"$EDIT" "$D64" "$TMP/in.st" fill golden.y 11
refused 3 'golden.y' eval --ckpt "$D64" --in "$TMP/in.st" --in-prefix golden. --out o.st
"$EDIT" "$D64" "$TMP/in.st" fill golden.t 1000
refused 3 'golden.t' eval --ckpt "$D64" --in "$TMP/in.st" --in-prefix golden. --out o.st
"$EDIT" "$D64" "$TMP/in.st" rows golden.y 0 2
refused 3 'golden.y' eval --ckpt "$D64" --in "$TMP/in.st" --in-prefix golden. --out o.st

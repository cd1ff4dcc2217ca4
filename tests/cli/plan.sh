#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Plans: shown, written, run again, and refused where they do not belong to the model or the run.
# sanitize: yes
. tests/cli/lib.bash

plan=(plan --ckpt "$D128" --steps ddim10)
draw=(sample --ckpt "$D128" --steps ddim10 -q -l 0-2)

run "${plan[@]}"
equal "exit status" 0 "$status"
equal "nothing on stderr" '' "$(cat "$ERR")"
equal "nothing written" '' "$(ls -A)"
check "a line per step" test "$(grep -c '^ *[0-9]' "$OUT")" -ge 10
cp "$OUT" "$TMP/table"

run "${plan[@]}" -o p.json --svg p.svg
same "the table is shown while files are written" "$TMP/table" "$OUT"
check "p.json is JSON" json p.json
check "p.svg is an SVG" grep -q '</svg>' p.svg
check "an XML parser would start here" grep -q '^<' p.svg
run "${plan[@]}" --json
same "--json prints what -o writes" p.json "$OUT"
run plan --ckpt "$D128" --plan p.json
same "--plan shows the same table" "$TMP/table" "$OUT"
run "${plan[@]}" -q
equal "-q prints nothing" '' "$(cat "$OUT" "$ERR")"

"$DYDIT" "${draw[@]}" --latents-out own.st
"$DYDIT" "${draw[@]}" --plan p.json --latents-out planned.st
same "running the written plan gives the same bytes" own.st planned.st

"$DYDIT" plan --ckpt "$D128" --steps ddim10 --dense -q -o dense.json
"$DYDIT" "${draw[@]}" --dense --latents-out own.st
"$DYDIT" "${draw[@]}" --plan dense.json --latents-out planned.st
same "the same for a dense plan" own.st planned.st
differ "which is another plan" p.json dense.json
"$DYDIT" plan --ckpt "$D128" --steps ddim10 --cfg-interval 100 600 -q -o some.json
"$DYDIT" "${draw[@]}" --cfg-interval 100 600 --latents-out own.st
"$DYDIT" "${draw[@]}" --plan some.json --latents-out planned.st
same "the same for a guidance interval" own.st planned.st

# An edited plan: every token of every block, no router.
sed 's/,"rows":"ROUTED","router":[0-9]*//g; s/"rows":"ROUTED","router":[0-9]*/"op":"COMPUTE"/g' p.json >all.json
"$DYDIT" "${draw[@]}" --plan p.json --latents-out planned.st
"$DYDIT" "${draw[@]}" --plan all.json --latents-out all.st
differ "an edited plan is another run" planned.st all.st
"$DYDIT" "${draw[@]}" --plan all.json --json -o x.png >"$OUT"
equal "which computes all tokens" 1 "$(json "$OUT" active.tokens | cut -d. -f1)"

# ---- refused ----
"$DYDIT" plan --ckpt "$D64" --steps ddim10 -q -o other.json
refused 3 'model' plan --ckpt "$D128" --plan other.json
refused 3 'model' sample --ckpt "$GLYPHS" --steps ddim10 --plan p.json
refused 3 'model' sample --ckpt "$D128" --steps ddim10 --plan other.json
refused 3 'steps' sample --ckpt "$D128" --steps ddim20 --plan p.json
refused 3 'timestep' sample --ckpt "$D128" --steps 10 --plan p.json
refused 3 'guid' sample --ckpt "$D128" --steps ddim10 --cfg-scale 1 --plan p.json
refused 3 'none.json cannot be opened' sample --ckpt "$D128" --plan none.json
refused 2 'would overwrite' plan --ckpt "$D128" --plan p.json -o p.json
refused 2 'both write' plan --ckpt "$D128" -o x --svg x
head -c 300 p.json >cut.json
echo '[]' >list.json
: >empty.json
sed 's/"units":"0x[0-9a-f]*"/"units":"0x0"/' p.json >none_run.json
sed 's/"schema_version":1/"schema_version":9/' p.json >later.json
sed '0,/blocks/s//blobs/' p.json >site.json
for f in cut list empty none_run later site; do refused 3 "$f.json" plan --ckpt "$D128" --plan $f.json; done

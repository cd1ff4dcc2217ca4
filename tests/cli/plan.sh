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

# ---- bounds ----
bound=("${plan[@]}" --device H100)
run "${bound[@]}"
equal "bound: exit status" 0 "$status"
equal "bound: nothing on stderr" '' "$(cat "$ERR")"
equal "bound: says first what it is" 'bound by data sheet, not a measurement' "$(head -n 1 "$OUT")"
check "bound: a line per kind of op" test "$(grep -cE '^(cond|embed|adaln|qkv|attention|proj|route|fc1|fc2|final|guide|solve|total) ' "$OUT")" = 13
check "bound: never called a time" test "$(grep -ciE '\btime|measured' "$OUT")" = 0
run "${bound[@]}" --json
cp "$OUT" bound.json
equal "bound: the JSON says so too" 'bound by data sheet, not a measurement' "$(json bound.json what)"
equal "bound: bf16 by itself, whatever this machine has" bf16 "$(json bound.json precision)"
run "${bound[@]}" --json --precision fp32 --batch-size 8 --tokens 0.5 --launch-us 1
equal "bound: precision" fp32 "$(json "$OUT" precision)"
equal "bound: batch" 8 "$(json "$OUT" batch_size)"
equal "bound: share of tokens" 0.5 "$(json "$OUT" assumed.tokens)"
equal "bound: launch" 1 "$(json "$OUT" assumed.launch_us | cut -d. -f1)"
differ "bound: which is another" bound.json "$OUT"
run plan --ckpt "$D128" --plan p.json --device h100 --json
same "bound: the same of a written plan" bound.json "$OUT"
run plan --ckpt "$D128" --plan dense.json --device H100 --json
equal "bound: of the complete model, ratio" 1 "$(json "$OUT" dense_over_planned.bound | cut -d. -f1)"
run "${bound[@]}" -q -o again.json
same "bound: -o still writes the plan" p.json again.json

# ---- refused ----
refused 2 'H100, H200, A100, RTX4090, L4' "${plan[@]}" --device V100
refused 2 'H100, H200, A100, RTX4090, L4' "${plan[@]}" --device 0
refused 2 "precision 'int3'" "${bound[@]}" --precision int3
refused 3 "precision fp8: no backend" "${bound[@]}" --precision fp8
refused 2 'tokens' "${bound[@]}" --tokens 0
refused 2 'batch-size' "${bound[@]}" --batch-size 0
refused 2 'launch-us' "${bound[@]}" --launch-us -1
for f in --tokens --launch-us --batch-size; do refused 2 'without --device' "${plan[@]}" $f 1; done
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

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Feature inheritance and two models in a run: as flags and as plan files, in reports, with what they need and refuse.
# Numbers are held to goldens by test_golden_inherit, bits by test_api_switch.
# sanitize: yes
. tests/cli/lib.bash

first=$GOLDEN/policy_dydit_d32_h2_p2.safetensors # 3 blocks of width 32, the latents of $D64
draw=(sample --ckpt "$first" --steps ddim8 -q -l 0-2)
plan=(plan --ckpt "$first" --steps ddim8)
output=--policy=inherit:mode=output,stride=3,sites=blocks.1.mlp

# ---- inherited features ----
"$DYDIT" "${draw[@]}" --latents-out plain.st
"$DYDIT" "${draw[@]}" --policy inherit:mode=delta,stride=1 --latents-out again.st
same "a stride of 1 changes nothing" plain.st again.st
"$DYDIT" "${draw[@]}" $output --latents-out output.st
differ "a stride of 3 does" plain.st output.st
"$DYDIT" "${plan[@]}" $output -q -o p.json --svg p.svg
equal "five steps inherit" 5 "$(grep -o '"op":"REUSE_OUTPUT"' p.json | wc -l)"
check "p.svg is an SVG" grep -q '</svg>' p.svg
"$DYDIT" "${draw[@]}" --plan p.json --latents-out again.st
same "the written plan draws the same" output.st again.st
run "${draw[@]}" $output --dry-run --json
equal "one slot of 3 pictures, 2 rows, 16 tokens, 32 values" $((3 * 2 * 16 * 32 * 4)) "$(json "$OUT" slot_bytes)"
refused 2 "sites 'blocks.1-3': the last block is 2" "${plan[@]}" --policy inherit:mode=delta,stride=2,sites=blocks.1-3
refused 2 'reuse-tokens frozen alone' "${plan[@]}" $output --reuse-tokens fresh

# ---- two models ----
"$DYDIT" "${draw[@]}" --switch "400:$first" --latents-out again.st
same "a switch to the same file is none" plain.st again.st
"$DYDIT" "${draw[@]}" --switch "0:$D64" --latents-out again.st
same "nor is one that no step is below" plain.st again.st
run "${draw[@]}" --switch "400:$D64" --json --latents-out two.st
differ "another model behind the switch" plain.st two.st
equal "report: where" 400 "$(json "$OUT" settings.switch.timestep)"
equal "report: to what" DyDiT-d64-l2-h4/2 "$(json "$OUT" settings.switch.arch)"
"$DYDIT" "${draw[@]}" --switch "400:$D64" -b 2 --threads 1 --latents-out again.st
same "whatever the batch size" two.st again.st
run "${plan[@]}" --switch "400:$D64" $output -o q.json
check "table: where the weights become others" grep -q '^from step 4 on (timestep 375) DyDiT-d64-l2-h4/2, policy dydit+inherit:output$' "$OUT"
"$DYDIT" "${draw[@]}" --switch "400:$D64" $output --latents-out both.st
"$DYDIT" "${draw[@]}" --switch "400:$D64" --plan q.json --latents-out again.st
same "the written plan of two models draws the same" both.st again.st
run "${draw[@]}" --switch "400:$D64" --dry-run --json
both=$(json "$OUT" weights_bytes)
run "${draw[@]}" --dry-run --json
check "dry run: the weights of both" test "$both" -gt $((2 * $(json "$OUT" weights_bytes)))
run bench --ckpt "$first" --switch "400:$D64" --steps ddim4 --repeat 1 --warmup 0 --vs-dense --threads 2 --json
equal "bench: the switch" "400:$D64" "$(json "$OUT" protocol.switch)"
check "bench: beside the complete models" grep -q '"speedup"' "$OUT"

# ---- refused ----
for text in 400 400: ":$D64" "x:$D64" "-1:$D64" "12345:$D64"; do refused 2 "is not T:FILE" "${plan[@]}" "--switch=$text"; done
refused 2 'timesteps go from 0 to 1000' "${plan[@]}" --switch "1001:$D64"
refused 2 'the model itself would not run' "${plan[@]}" --switch "1000:$D64"
refused 2 'its latents are 1 x 32 x 32' "${plan[@]}" --switch "400:$D128"
refused 3 'missing.st' "${plan[@]}" --switch 400:missing.st
refused 3 'changes to the weights of another model' "${draw[@]}" --plan q.json --latents-out x.st
refused 3 'but the switch is at 600' "${draw[@]}" --plan q.json --switch "600:$D64" --latents-out x.st
refused 2 'chosen cost is of one model' bench --ckpt "$first" --switch "400:$D64" --mode tdw --dry-run
sed '/"timestep":375/,/\]}/{s/"op":"COMPUTE_STORE"/"op":"REUSE_OUTPUT"/;s/,"rows":"ROUTED","router":[0-9]*//}' q.json >across.json
refused 3 'across.json: step 4, blocks.1.mlp: REUSE_OUTPUT, but no step after step 3, which has other weights' \
    "${plan[@]:0:3}" --plan across.json --switch "400:$D64"

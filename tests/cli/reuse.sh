#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Policies that reuse results: as flags and as plan files, over DyDiT, the complete model and other plans; what does not
# change their pictures; what they cost on paper; refusals. Numbers are held to goldens by test_golden_policy.
# sanitize: yes
. tests/cli/lib.bash

fora=--policy=fora:interval
plan=(plan --ckpt "$D128" --steps ddim7)
draw=(sample --ckpt "$D128" --steps ddim7 -q -l 0-2)

"$DYDIT" "${draw[@]}" --latents-out plain.st
"$DYDIT" "${draw[@]}" $fora=1 --latents-out one.st
same "an interval of 1 changes nothing" plain.st one.st
"$DYDIT" "${draw[@]}" --dense --latents-out dense.st
"$DYDIT" "${draw[@]}" --dense $fora=1 --latents-out one.st
same "nor for the complete model" dense.st one.st

"$DYDIT" "${draw[@]}" $fora=3 --latents-out three.st
differ "an interval of 3 does" plain.st three.st
"$DYDIT" "${draw[@]}" $fora=3 -b 2 --threads 1 --latents-out again.st
same "whatever the batch size" three.st again.st
run "${plan[@]}" $fora=3 -q -o p.json --svg p.svg
equal "plan: exit status" 0 "$status"
equal "plan: four steps reuse all six sites" 24 "$(grep -o '"op":"REUSE_BRANCH"' p.json | wc -l)"
check "plan: p.svg is an SVG" grep -q '</svg>' p.svg
"$DYDIT" "${draw[@]}" --plan p.json --latents-out again.st
same "the written plan draws the same" three.st again.st
"$DYDIT" plan --ckpt "$D128" --steps ddim7 -q -o own.json
"$DYDIT" "${draw[@]}" --plan own.json $fora=3 --latents-out again.st
same "so does the policy over a written plan" three.st again.st
run "${draw[@]}" --dense $fora=3 --compare-dense --json --latents-out again.st
differ "over the complete model it is another run" three.st again.st
equal "policy in the report" dense+fora:3 "$(json "$OUT" settings.policy)"
run "${draw[@]}" $fora=3 --compare-dense --json --latents-out again.st
same "a complete run beside it is one of its own" three.st again.st
check "it executes less than half" awk -v r="$(json "$OUT" mac_ratio)" 'BEGIN { exit !(r > 2) }'

for tokens in intersect fresh; do
    "$DYDIT" "${draw[@]}" $fora=3 --reuse-tokens $tokens --latents-out $tokens.st
    differ "--reuse-tokens $tokens" three.st $tokens.st
    "$DYDIT" "${plan[@]}" $fora=3 --reuse-tokens $tokens -q -o $tokens.json
    "$DYDIT" "${draw[@]}" --plan $tokens.json --latents-out again.st
    same "--reuse-tokens $tokens, as a plan" $tokens.st again.st
done
differ "which are two" intersect.st fresh.st
"$DYDIT" "${draw[@]}" $fora=3 --reuse-tokens frozen --latents-out again.st
same "--reuse-tokens frozen is the default" three.st again.st

# Guidance switched on and off: slots of another number of rows are not read.
accepted "${draw[@]}" $fora=7 --cfg-interval 300 800 --latents-out again.st
equal "two programs, and two more without guidance" 4 \
    "$("$DYDIT" "${draw[@]}" $fora=3 --cfg-interval 300 999 --dry-run --json | "$LOOK" json /dev/stdin programs)"

# ---- what is kept in bf16 ----
"$DYDIT" "${draw[@]}" $fora=3 --cache-dtype f32 --latents-out again.st
same "--cache-dtype f32 is the default in fp32" three.st again.st
"$DYDIT" "${draw[@]}" $fora=3 --cache-dtype bf16 --latents-out half.st
differ "--cache-dtype bf16" three.st half.st
"$DYDIT" "${draw[@]}" --plan p.json --cache-dtype bf16 --latents-out again.st
same "--cache-dtype bf16, of a written plan" half.st again.st
run "${draw[@]}" $fora=3 --cache-dtype bf16 --dry-run --json
equal "dry run: half the bytes" $((6 * 3 * 2 * 64 * 128 * 2 + 3 * (3 * 2 * 64 * 4 + 64))) "$(json "$OUT" slot_bytes)"
read_by_sums() {
    "$DYDIT" "${plan[@]}" --dense $fora=3 --device H100 --cache-dtype "$1" --json >bound.json
    "$LOOK" json bound.json planned.kinds.add.read_bytes
}
equal "bound: half of what four steps read of six sites, 2 rows of 64 tokens" $((4 * 6 * 2 * 64 * 128 * 2)) \
    $(("$(read_by_sums f32)" - "$(read_by_sums bf16)"))

# ---- memory: 6 sites x 3 pictures x 2 rows x 64 tokens x 128 x 4 bytes, and the MLPs' lists ----
run "${draw[@]}" $fora=3 --dry-run --json
equal "dry run: bytes that are kept" $((6 * 3 * 2 * 64 * 128 * 4 + 3 * (3 * 2 * 64 * 4 + 64))) "$(json "$OUT" slot_bytes)"
equal "dry run: programs" 2 "$(json "$OUT" programs)"
kept=$(json "$OUT" peak_bytes)
run "${draw[@]}" --dry-run --json
equal "dry run: none without a policy" 0 "$(json "$OUT" slot_bytes)"
check "dry run: they are part of the sum" test "$kept" -ge $(("$(json "$OUT" peak_bytes)" + 6 * 3 * 2 * 64 * 128 * 4))
run "${draw[@]}" $fora=3 --dry-run
check "dry run: a line" grep -Eq '^ *kept .*results for later steps' "$OUT"
run "${plan[@]}" $fora=3 --device H100
check "bound: a line" grep -q '^add ' "$OUT"

run bench --model DiT-S/8 --image-size 64 --steps ddim4 --repeat 1 --warmup 0 --mode dense $fora=2 --vs-dense --threads 2 --json
equal "bench: the policy" fora:interval=2 "$(json "$OUT" protocol.policy)"
run bench --model DyDiT-S/8 --image-size 64 --steps ddim4 --repeat 1 --warmup 0 --mode tdw+sdt $fora=2 --reuse-tokens fresh \
    --cache-dtype bf16 --vs-dense --threads 2 --json
equal "bench: which tokens" fresh "$(json "$OUT" protocol.reuse_tokens)"
equal "bench: kept as" bf16 "$(json "$OUT" protocol.cache_dtype)"
check "bench: beside the complete model" grep -q '"speedup"' "$OUT"

# ---- refused ----
for n in 0 -1 1001 2.5 x; do refused 2 "interval '$n' is no whole number from 1 to 1000" "${draw[@]}" --latents-out x.st "$fora=$n"; done
refused 2 "'interval=' is not KEY=VALUE" "${draw[@]}" --latents-out x.st "$fora="
refused 2 "policy 'cache' is not known: fora:interval=N" "${plan[@]}" --policy cache
refused 2 'none of frozen, intersect, fresh' "${plan[@]}" $fora=2 --reuse-tokens all
refused 2 "cache-dtype 'f16' is none of auto, f32, bf16" "${draw[@]}" $fora=2 --cache-dtype f16 --latents-out x.st
refused 2 'says nothing without --device' "${plan[@]}" --cache-dtype bf16
refused 2 '--reuse-tokens needs --policy' bench --ckpt "$D128" --reuse-tokens fresh
refused 2 '--cache-dtype needs --policy' bench --ckpt "$D128" --cache-dtype bf16
refused 2 'reuse-tokens fresh without a policy' "${plan[@]}" --reuse-tokens fresh
refused 2 'which itself reuses results' "${draw[@]}" --plan p.json $fora=2 --latents-out x.st
refused 2 '--plan and --policy exclude each other' plan --ckpt "$D128" --plan p.json $fora=2
refused 2 '--policy needs --vs-dense' bench --ckpt "$D128" $fora=2
refused 2 '--read and --policy' bench --read x.json $fora=2
sed '0,/"op":"COMPUTE_STORE",/s///' p.json >unstored.json
refused 3 'unstored.json: step .*, blocks.0.attn: REUSE_BRANCH, but no earlier step stores' "${plan[@]:0:3}" --plan unstored.json

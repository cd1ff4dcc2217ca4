#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Learning-to-Cache: routers as files, flags and plans; what does not change a picture; a plan file that mixes all ops over
# DyDiT's masks; refusals. Numbers are held to goldens by test_golden_policy.
# sanitize: yes
. tests/cli/lib.bash

DIT=$GOLDEN/policy_dit_d32_h2_p2.safetensors # 3 blocks, no routers
cp "$GOLDEN/torch_routers.pt" r.pt           # 10 steps, 3 blocks
draw=(sample --ckpt "$DIT" --steps 10 --sampler ddim -q -l 0-1)
policy=--policy=l2c:router=r.pt

"$DYDIT" "${draw[@]}" --latents-out plain.st
"$DYDIT" "${draw[@]}" $policy,threshold=0 --latents-out again.st
same "a threshold of 0 reuses nothing" plain.st again.st
"$DYDIT" "${draw[@]}" $policy,threshold=0.5 --latents-out half.st
differ "0.5 does" plain.st half.st
"$DYDIT" "${draw[@]}" $policy --latents-out tenth.st
differ "0.1 reuses less" half.st tenth.st
"$DYDIT" "${draw[@]}" $policy,threshold=0.1 --latents-out again.st
same "and is the default" tenth.st again.st
accepted "${draw[@]}" $policy --latents-out again.st # no warning for a complete model
run "${draw[@]}" $policy,threshold=0.5 --compare-dense --json --latents-out again.st
same "a complete run beside it is one of its own" half.st again.st
equal "policy in the report" dense+l2c:0.5 "$(json "$OUT" settings.policy)"
run bench --ckpt "$DIT" --steps 10 --repeat 1 --warmup 0 --mode dense $policy --vs-dense --threads 2 --json
equal "bench: the policy" l2c:router=r.pt "$(json "$OUT" protocol.policy)"

accepted plan --ckpt "$GLYPHS" --steps ddim50 --dense --policy "l2c:router=$ROOT/models/glyphs-l2c-ddim50.json" -q -o demo.json

# At a threshold of 1 every even step reuses all six sites; FORA with an interval of 2 computes these and the first.
run plan --ckpt "$DIT" --steps 10 $policy,threshold=1 -q -o all.json
equal "threshold 1: five steps reuse" 30 "$(grep -o '"op":"REUSE_BRANCH"' all.json | wc -l)"
equal "threshold 1: five steps store" 30 "$(grep -o '"op":"COMPUTE_STORE"' all.json | wc -l)"
equal "two programs" 2 "$("$DYDIT" "${draw[@]}" $policy,threshold=1 --dry-run --json | "$LOOK" json /dev/stdin programs)"

# ---- convert ----
run convert r.pt r.json --threshold 0.5
equal "convert: exit status" 0 "$status"
check "convert: says what is kept" grep -q '^kept .* 0.5: 5 of 15 attention branches, 7 of 15 MLPs' "$OUT"
"$DYDIT" "${draw[@]}" --policy l2c:router=r.json --latents-out again.st
same "the written threshold is taken" half.st again.st
"$DYDIT" "${draw[@]}" --policy l2c:router=r.json,threshold=0.1 --latents-out again.st
same "unless another is given" tenth.st again.st
accepted convert r.json again.json -q
check "JSON again" cmp r.json again.json
accepted convert r.pt p.json --ckpt "$DIT" --steps 10 --threshold 0.5 -q
"$DYDIT" plan --ckpt "$DIT" --steps 10 $policy,threshold=0.5 -q -o q.json
check "as a plan: that of dydit plan" cmp p.json q.json
"$DYDIT" "${draw[@]}" --plan p.json --latents-out again.st
same "as a plan: the same picture" half.st again.st

# ---- over DyDiT ----
over=(sample --ckpt "$D128" --steps 10 --sampler ddim -q -l 0-1)
"$DYDIT" "${over[@]}" --latents-out dydit.st
"$DYDIT" "${over[@]}" $policy --latents-out over.st
differ "over DyDiT" dydit.st over.st
run "${over[@]:0:7}" -l 0-1 $policy --latents-out again.st
equal "it is said once that this is untested" 1 "$(grep -c 'warning: policy l2c: .* untested' "$ERR")"
same "to no effect" over.st again.st
for tokens in intersect fresh; do
    "$DYDIT" "${over[@]}" $policy,threshold=0.5 --reuse-tokens $tokens --latents-out $tokens.st
    "$DYDIT" plan --ckpt "$D128" --steps 10 $policy,threshold=0.5 --reuse-tokens $tokens -q -o $tokens.json
    "$DYDIT" "${over[@]}" --plan $tokens.json --latents-out again.st
    same "--reuse-tokens $tokens, as a plan" $tokens.st again.st
done
differ "which are two" intersect.st fresh.st

# ---- a plan of all ops, by hand ----
# Steps 0 and 2 store every site, with DyDiT's masks; steps 1 and 3 reuse or skip, block by block.
"$DYDIT" plan --ckpt "$D128" --steps 4 -q -o own.json
awk '/"cells"/ { step++; block = 0; print; next }
    step && /^   / {
        end = $0; sub(/.*\}/, "", end); if (end == "") end = ","; sub(/^   /, "")
        if (step == 1 || step == 3) { gsub(/\{/, "{\"op\":\"COMPUTE_STORE\","); print "   " $0 }
        else if (block == 0) print "   {\"op\":\"REUSE_BRANCH\"}, {\"op\":\"REUSE_BRANCH\",\"rows\":\"ROUTED\"},"
        else if (block == 1) print "   {\"op\":\"REUSE_DELTA\"}, {\"op\":\"SKIP\"},"
        else print "   {\"op\":\"SKIP\"}, {\"op\":\"REUSE_OUTPUT\"}" (step == 4 ? "]}]" : "]},")
        block++; next
    } { print }' own.json >mixed.json
mixed=(sample --ckpt "$D128" --steps 4 -q -l 0-1)
accepted "${mixed[@]}" --plan mixed.json --latents-out mixed.st
"$DYDIT" "${mixed[@]}" --plan mixed.json --latents-out again.st -b 1 --threads 1
same "all ops in one file: whatever the batch size" mixed.st again.st
"$DYDIT" "${mixed[@]}" --latents-out own.st
differ "all ops in one file: they do something" own.st mixed.st

# bad SED PATTERN: the file so changed is refused with this sentence
bad() {
    sed "$1" mixed.json >bad.json
    refused 3 "bad.json: $2" plan --ckpt "$D128" --plan bad.json
    refused 3 "bad.json: $2" "${mixed[@]}" --plan bad.json --latents-out x.st
}
bad '0,/COMPUTE_STORE/s//COMPUTE/' 'step 1, blocks.0.attn: REUSE_BRANCH, but no earlier step stores'
bad '/"timestep":999/s/true/false/' 'step 1, blocks.0.attn: REUSE_BRANCH of what step 0 stored, but guidance changes at step 1'
bad 's/{"op":"REUSE_OUTPUT"}/{"op":"REUSE_OUTPUT","rows":"ROUTED"}/' 'step 1, blocks.2.mlp: rows is ROUTED with REUSE_OUTPUT'
bad 's/{"op":"REUSE_DELTA"}/{"op":"REUSE_DELTA","rows":"ROUTED"}/' 'step 1, blocks.1.attn: rows is ROUTED, but the site has no token router'
bad 's/"op":"REUSE_BRANCH","rows":"ROUTED"/"op":"REUSE_BRANCH","rows":"ROUTED","router":2/' 'step 1, blocks.0.mlp: router 2, but'
bad 's/{"op":"REUSE_DELTA"}/{"op":"REUSE_DELTA","rows":"MASKED"}/' 'step 1, blocks.1.attn: rows is MASKED, but'
bad '0,/"op":"REUSE_DELTA"/s//"op":"REUSE"/' 'steps.1..cells.2. .blocks.1.attn.: op "REUSE" is none of'

# ---- contradictions ----
none=(--latents-out x.st)
refused 2 '--policy fora:interval=2 and --policy l2c:router=r.pt exclude each other' "${draw[@]}" "${none[@]}" \
    --policy fora:interval=2 $policy
refused 2 'policies fora and l2c exclude each other' "${draw[@]}" "${none[@]}" --policy fora:interval=2,l2c:router=r.pt
refused 2 'policy fora over plan "dense.l2c:0.5", which itself reuses results .step 1, blocks.0.attn' "${draw[@]}" "${none[@]}" \
    --plan p.json --policy fora:interval=2
refused 2 'policy l2c over plan "dense.l2c:0.5", which itself reuses' "${draw[@]}" "${none[@]}" --plan p.json $policy
printf '{"schema":"dydit-router","schema_version":1,"steps":4,"depth":3,"logits":[[0,0,0,0,0,0],null,[0,0,0,0,0,0],null]}' >r4.json
refused 2 'policy l2c over plan "dydit", which itself reuses' "${mixed[@]}" "${none[@]}" --plan mixed.json \
    --policy l2c:router=r4.json
refused 2 '--plan and --policy exclude each other' plan --ckpt "$DIT" --plan p.json $policy

# ---- files that do not fit ----
refused 2 'policy l2c needs router=' "${draw[@]}" "${none[@]}" --policy l2c
refused 2 "threshold 'x' is no number" "${draw[@]}" "${none[@]}" $policy,threshold=x
refused 3 'r.pt: routers of 10 steps for 20 sampling steps' "${draw[@]}" "${none[@]}" --steps 20 $policy
refused 3 'r.pt: routers of 6 values, but two for each of the 2 blocks' sample --ckpt "$D64" --steps 10 "${none[@]}" $policy
refused 3 '58 values, .*U-ViT' "${draw[@]}" "${none[@]}" --policy "l2c:router=$GOLDEN/torch_routers_uvit.pth"
refused 3 'no.*tensors' "${draw[@]}" "${none[@]}" --policy "l2c:router=$GOLDEN/torch_train.pt"
refused 3 'none.pt cannot be opened' "${draw[@]}" "${none[@]}" --policy l2c:router=none.pt
head -c 5000 r.pt >cut.pt
refused 3 'cut.pt.*cut off' "${draw[@]}" "${none[@]}" --policy l2c:router=cut.pt
refused 3 'cut.pt.*cut off' convert cut.pt x.json
sed 's/null/nul/' r.json >bad.json
refused 3 'bad.json:[0-9]+:[0-9]+: ' "${draw[@]}" "${none[@]}" --policy l2c:router=bad.json
refused 2 'would overwrite r.json, which --policy reads' plan --ckpt "$DIT" --steps 10 --policy l2c:router=r.json -o r.json
refused 2 'would overwrite' convert r.json ./r.json
refused 2 '--ckpt is for routers' convert r.pt x.safetensors --ckpt "$DIT" --steps 10
refused 2 '--ckpt and --steps belong together' convert r.pt x.json --ckpt "$DIT"
refused 2 '--dtype is for checkpoints' convert r.pt x.json --dtype bf16
refused 4 'no/such' convert r.pt no/such/x.json

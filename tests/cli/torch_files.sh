#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checkpoints of torch.save on the command line: what was taken is said, hostile ones end with exit status 3, one sentence
# and nothing written.
# sanitize: yes
. tests/cli/lib.bash

TRAIN=$GOLDEN/torch_train.pt FLAT=$GOLDEN/torch_flat.pt

run inspect "$TRAIN"
check 'inspect says what was taken' grep -q "^taken .*'ema'" "$OUT"
check 'the model runs' grep -q '^runs .*yes' "$OUT"
run inspect "$TRAIN" --which model --json
check 'also in JSON' grep -q '"taken": *"model"' "$OUT"
run inspect "$FLAT"
check 'a bare state dict has no parts' test -z "$(grep '^taken' "$OUT")"
run sample --ckpt "$FLAT" --which ema --steps 10 -o x.png
equal 'a part that is missing' 2 "$status"
check 'is named' grep -q "no state dict 'ema'" "$ERR"

# hostile NAME PATTERN: x.pt is refused
hostile() {
    run sample --ckpt "$TMP/x.pt" --steps 10 -o x.png
    local why=''
    [ "$status" = 3 ] || why="exit status $status, not 3"
    [ "$(wc -l <"$ERR")" = 1 ] || why='not one line on stderr'
    grep -q -E -e "x\.pt.*$2" "$ERR" || why="stderr does not match $2"
    [ ! -s "$OUT" ] && [ -z "$(ls -A)" ] || why='something was written'
    if [ -z "$why" ]; then ok "refused: $1"; else not_ok "refused: $1" "$why"; fi
}

head -c 200000 "$FLAT" >"$TMP/x.pt"
hostile 'cut off' 'cut off or damaged'
sed 's/_rebuild_tensor_v2/_rebuild_tensor_v3/' "$FLAT" >"$TMP/x.pt"
hostile 'other globals' 'holds no tensors'
cp "$GOLDEN/torch_script.pt" "$TMP/x.pt"
hostile 'TorchScript' 'TorchScript'
cp "$GOLDEN/torch_before_1_6.pt" "$TMP/x.pt"
hostile 'the format before 1.6' 'before PyTorch 1\.6'

# ---- convert ----
run convert "$TRAIN" a.safetensors
equal 'convert' 0 "$status"
equal 'the sum is that of the file' "sha256 $(sha256sum a.safetensors | cut -d' ' -f1)" "$(tail -n 1 "$OUT")"
run convert "$FLAT" b.safetensors --quiet
equal 'quiet' '' "$(cat "$OUT")"
check 'both files of these weights give the same bytes' cmp a.safetensors b.safetensors
run convert a.safetensors c.safetensors --dtype bf16
check 'bf16 is smaller' test "$(wc -c <c.safetensors)" -lt "$(wc -c <a.safetensors)"
run inspect c.safetensors
check 'and runs' grep -q '^runs .*yes' "$OUT"
for args in '' a.safetensors 'a.safetensors d.safetensors e.safetensors' 'a.safetensors d.safetensors --dtype f8' \
    'a.safetensors ./a.safetensors'; do
    # shellcheck disable=SC2086 # words
    run convert $args
    equal "wrong usage: convert $args" 2 "$status"
done
refused 2 'is no regular file' convert "$FLAT" /dev/null
refused 4 'no/such' convert "$FLAT" no/such/d.safetensors
# ---- convert --layout diffusers ----
DIT=$GOLDEN/policy_dit_d32_h2_p2.safetensors
run convert "$DIT" transformer --layout diffusers
equal 'a folder of diffusers' 'config.json diffusion_pytorch_model.safetensors' "$(ls -A transformer | paste -sd ' ')"
equal 'its sum is that of the file of tensors' \
    "sha256 $(sha256sum transformer/diffusion_pytorch_model.safetensors | cut -d' ' -f1)" "$(tail -n 1 "$OUT")"
run convert transformer e.safetensors --layout official
run convert e.safetensors again --layout diffusers
run convert again f.safetensors
check 'there and back again' cmp e.safetensors f.safetensors
run inspect transformer
check 'it runs' grep -q '^runs .*yes' "$OUT"
rm -r transformer e.safetensors f.safetensors
refused 3 'has routers' convert "$FLAT" transformer --layout diffusers
refused 4 'is there and not empty' convert "$DIT" again --layout diffusers
refused 2 'a name without \.safetensors' convert "$DIT" d.safetensors --layout diffusers
refused 2 '--model is for --layout diffusers' convert "$DIT" d.safetensors --model DiT-S/2
refused 3 'model DiT-S/2 has' convert "$DIT" transformer --layout diffusers --model DiT-S/2
rm -r again
run convert "$TMP/x.pt" d.safetensors
equal 'what cannot be read is not converted' 3 "$status"
equal 'nothing else was written' 'a.safetensors b.safetensors c.safetensors' "$(echo *)"

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Decoding from the command line: pictures of what was sampled and of files, limits of memory, refusals.
# sanitize: yes
. tests/cli/lib.bash

VAE=$GOLDEN/vae_c8_16_32.safetensors # factor 4, tiles of 4 latents
sample=(sample --ckpt "$D64" --vae "$VAE" --steps ddim2 --threads 2 --precision fp32)

# ---- sampled latents ----
accepted "${sample[@]}" -n 3 -o three.png --vae-batch 2 --latents-out l.safetensors --json
equal 'pictures of factor x latents, padded' 104x36 "$(png_size three.png)"
equal 'the report has the time of decoding' 32 "$(json "$OUT" decode.side)"
peak=$(json "$OUT" peak_bytes)
accepted "${sample[@]}" -n 3 --vae-batch 2 --dry-run --json
equal 'the dry run knew the memory' "$peak" "$(json "$OUT" peak_bytes)"
accepted "${sample[@]}" -n 3 -o other.png --vae-batch 3
same 'the size of a batch changes nothing' three.png other.png
accepted "${sample[@]}" -n 3 -o tiles.png --vae-tiling --vae-tile-overlap 0.5
differ 'tiles are other pictures' three.png tiles.png
accepted "${sample[@]}" -n 2 --sample-dir each
equal 'single pictures' 32x32 "$(png_size each/000001.png)"

# ---- previews ----
accepted "${sample[@]}" --steps ddim4 -n 3 -o seen.png --preview vae --preview-interval 3 --preview-path p.png
equal 'a preview is decoded' 104x36 "$(png_size p.png)"
check 'and says so' grep -a -q 'decoded preview' p.png
accepted "${sample[@]}" --steps ddim4 -n 3 -o unseen.png
same 'it does not change the pictures' seen.png unseen.png
differ 'which it is not yet' p.png seen.png
accepted "${sample[@]}" -n 3 -o n.png --preview linear --preview-interval 1 --preview-path p.png
equal 'a linear one has a pixel for each latent' 32x12 "$(png_size p.png)"

# ---- files ----
decode=(decode --vae "$VAE" --threads 2 --precision fp32)
accepted "${decode[@]}" --in l.safetensors -o three.png --pictures-out p.safetensors
equal 'a grid of a file' 104x36 "$(png_size three.png)"
equal 'pictures as numbers' 'F32 [3,3,32,32]' "$("$LOOK" print p.safetensors pictures)"
accepted "${decode[@]}" --in "$VAE" --in-prefix golden.tiled_ --vae-tiling --pictures-out p.safetensors
check 'tiles are those of diffusers' "$LOOK" compare "$VAE" golden.tiled_out p.safetensors pictures 2e-4
run "${decode[@]}" --in "$VAE" --in-prefix golden.tiled_ --max-mem 900K --pictures-out t.safetensors
equal 'too little memory for whole pictures is no failure' 0 "$status"
check 'but said' grep -q 'warning: .*more than the limit.*in tiles of 4 latents' "$ERR"
same 'they went in tiles' p.safetensors t.safetensors
mkdir folder && cp "$VAE" folder/diffusion_pytorch_model.safetensors
echo '{"_class_name": "AutoencoderKL", "norm_num_groups": 4, "sample_size": 16}' >folder/config.json
accepted decode --vae folder --threads 2 --precision fp32 --in l.safetensors -o folder.png
same 'a folder of diffusers' three.png folder.png
mkdir compvis && cp folder/config.json compvis && cp "$GOLDEN/vae_compvis.ckpt" compvis/vae.ckpt
accepted decode --vae compvis/vae.ckpt --threads 2 --precision fp32 --in l.safetensors -o compvis.png
same 'a file of CompVis by torch.save' three.png compvis.png
run inspect compvis/vae.ckpt
check 'whose state dict was taken' grep -q "^taken .*'state_dict'" "$OUT"
check 'and recognized' grep -q 'decoder, names of CompVis' "$OUT"

# ---- refusals ----
refused 2 'vae-batch needs --vae' sample --ckpt "$D64" --vae-batch 2 --latents-out n.safetensors
refused 2 'vae-engine needs --vae' sample --ckpt "$D64" --vae-engine own --latents-out n.safetensors
refused 2 "vae-engine: 'fast' is not one of own|cudnn|auto" "${sample[@]}" --vae-engine fast -o n.png
refused 3 'vae-engine cudnn: backend cpu has no cuDNN' "${sample[@]}" --backend cpu --vae-engine cudnn -o n.png
refused 2 'reproducible and --vae-engine cudnn exclude each other' "${sample[@]}" --reproducible --vae-engine cudnn -o n.png
accepted "${decode[@]}" --backend cpu --vae-engine auto --in l.safetensors -o auto.png
same 'auto without cuDNN is own' three.png auto.png
refused 2 'give --vae FILE' sample --ckpt "$D64" -o n.png
refused 2 'needs none' sample --ckpt "$D128" --vae "$VAE" -o n.png
refused 2 'give --preview linear or vae' "${sample[@]}" --preview-interval 1 -o n.png
refused 2 'preview vae needs --vae' sample --ckpt "$D64" --preview vae --preview-interval 1 --latents-out n.safetensors
refused 2 'preview vae needs --preview-interval' "${sample[@]}" --preview vae -o n.png
refused 2 'preview vae: .* needs none' sample --ckpt "$D128" --preview vae --preview-interval 1 -o n.png
refused 2 'image-size' "${sample[@]}" --image-size 64 -o n.png
refused 4 'decoding .* in tiles needs' "${sample[@]}" -n 2 --max-mem 900K -o n.png
refused 3 'none.safetensors' sample --ckpt "$D64" --vae none.safetensors -o n.png
refused 3 'no decoder' sample --ckpt "$D64" --vae "$GLYPHS" -o n.png
refused 2 'use --vae' decode --in l.safetensors -o n.png
refused 2 'use --in' decode --vae "$VAE" -o n.png
refused 2 'nothing to write' decode --vae "$VAE" --in l.safetensors
refused 3 'tensor x is missing' decode --vae "$VAE" --in "$GLYPHS" -o n.png
"$EDIT" "$VAE" "$TMP/bad.safetensors" truncate 1000
refused 3 'bad.safetensors' "${sample[@]}" --vae "$TMP/bad.safetensors" -o n.png
"$EDIT" "$VAE" "$TMP/bad.safetensors" rename decoder.conv_out.bias decoder.other
refused 3 'bad.safetensors: tensor decoder.conv_out.bias is missing' "${sample[@]}" --vae "$TMP/bad.safetensors" -o n.png
"$EDIT" "$VAE" "$TMP/bad.safetensors" nan decoder.mid_block.attentions.0.to_q.weight
refused 3 'bad.safetensors: tensor decoder.mid_block.attentions.0.to_q.weight: element 1023 is not finite' \
    "${decode[@]}" --vae "$TMP/bad.safetensors" --in l.safetensors -o n.png
run "${sample[@]}" --vae "$TMP/bad.safetensors" --latents-out kept.safetensors -o bad.png
equal 'what cannot be decoded is refused' 3 "$status"
check 'after the latents were kept' "$LOOK" print kept.safetensors latents
check 'and without a picture' test ! -e bad.png
run decode --vae "$VAE" --in l.safetensors --nrow 1 -o n.png --engine lt
equal 'a decoder has no engine' 2 "$status"
refused 2 'needs --vae-tiling' sample --ckpt "$D64" --vae "$VAE" --steps ddim2 -n 2 --npz n.npz --vae-tile-size 2
refused 2 'preview-path needs' sample --ckpt "$D64" --preview none --preview-path p.png --latents-out n.safetensors

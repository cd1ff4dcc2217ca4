#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Sampling: which files appear, their sizes and texts, figures, previews, labels, latent models.
# sanitize: yes
. tests/cli/lib.bash

# The smallest model with pictures; three steps suffice here.
fast=(sample --ckpt "$D128" --steps ddim4)

# ---- the default picture ----
run "${fast[@]}" --class-labels 0-7
equal "exit status" 0 "$status"
equal "nothing on stderr where it is no terminal" '' "$(cat "$ERR")"
equal "only sample.png appears" sample.png "$(ls -A)"
equal "eight pictures are 4 x 2, padding 2" 138x70 "$(png_size sample.png)"
check "the report names the file" grep -q 'wrote sample.png' "$OUT"
check "the report names the MAC ratio" grep -q -i 'ratio' "$OUT"
for text in Software dydit:model dydit:seed dydit:labels dydit:sampler dydit:guidance 'dydit:rng' torch-cpu 0,1,2,3,4,5,6,7; do
    check "the picture carries $text" grep -a -q "$text" sample.png
done
rm sample.png
run "${fast[@]}" --class-labels 0 --rng torch-cuda --rng-device l4 --json
equal "the card is in the JSON" 'torch-cuda as on L4 (58 x 1536)' "$(json "$OUT" settings.rng)"
check "and in the picture" grep -a -q 'torch-cuda as on L4 (58 x 1536)' sample.png
rm sample.png

# ---- sizes: (32 + 2) n + 2, times zoom ----
"$DYDIT" "${fast[@]}" -q -o grid.png
equal "26 labels without --class-labels, 8 in a row" 274x138 "$(png_size grid.png)"
"$DYDIT" "${fast[@]}" -q -l 0-4 --nrow 3 --zoom 2 -o grid.png --token-map map.png
equal "--nrow 3 --zoom 2 of five" 208x140 "$(png_size grid.png)"
equal "the token map has the same layout" 208x140 "$(png_size map.png)"
"$DYDIT" "${fast[@]}" -q -l 3 -o grid.png
equal "one picture has no padding" 32x32 "$(png_size grid.png)"
"$DYDIT" "${fast[@]}" -q -l 3 -n 9 -o grid.png
equal "labels repeat to --num-samples" 274x70 "$(png_size grid.png)"
check "as text" grep -a -q '3,3,3,3,3,3,3,3,3' grid.png
"$DYDIT" "${fast[@]}" -q -n 5 -o r1.png && "$DYDIT" "${fast[@]}" -q -n 5 -b 2 -o r2.png
same "random labels do not depend on the batch size" r1.png r2.png
rm -f ./*.png

# ---- a folder of pictures ----
"$DYDIT" "${fast[@]}" -q -l 0-2 --sample-dir a/b/c
equal "a folder is made, one PNG each" '000000.png 000001.png 000002.png ' "$(ls -A a/b/c | tr '\n' ' ')"
equal "each alone" 32x32 "$(png_size a/b/c/000002.png)"
equal "no grid unless asked for" a "$(ls -A)"
"$DYDIT" "${fast[@]}" -q -l 2 --seed 2 -o one.png
"$EDIT" "$D128" "$TMP/x" truncate 8 # (a file that is none)
refused 3 'x' sample --ckpt "$TMP/x" --sample-dir d/e
refused 2 'steps' "${fast[@]}" --steps 0 --sample-dir d/e
rm -r a one.png

# ---- figures ----
run "${fast[@]}" -l 0-3 --json -o x.png --plan-svg x.svg --compare-dense
check "--json prints JSON" json "$OUT"
equal "images" 4 "$(json "$OUT" images)"
equal "forward rows: images x steps x 2" 32 "$(json "$OUT" forward_rows)"
equal "files" '["x.png","x.svg"]' "$(json "$OUT" files)"
check "a speed-up was measured" json "$OUT" speedup
check "an SVG was written" grep -q '</svg>' x.svg
run "${fast[@]}" -l 0-3 --json -o x.png --cfg-interval 0 500
rows=$(json "$OUT" forward_rows)
check "--cfg-interval computes fewer rows ($rows)" test "$rows" -lt 32 -a "$rows" -gt 16
run "${fast[@]}" -l 0-3 --json -o x.png --cfg-scale 1
equal "without guidance half as many" 16 "$(json "$OUT" forward_rows)"
run "${fast[@]}" -l 0-3 --json -o x.png --dense
equal "--dense executes everything" 1 "$(json "$OUT" active.tokens | cut -d. -f1)"
run "${fast[@]}" -l 0 -q -o x.png
equal "-q prints nothing" '' "$(cat "$OUT" "$ERR")"
run "${fast[@]}" -l 0 -v -o x.png
check "-v says more on stderr" test -s "$ERR"
rm x.png x.svg

# ---- multistep solvers ----
for sampler in dpmpp2m unipc; do
    multi=(sample --ckpt "$D128" --steps 5 --sampler $sampler -q)
    run "${multi[@]}" -l 0-2 --json --latents-out a
    equal "$sampler: named in the JSON" "$sampler" "$(json "$OUT" settings.sampler)"
    "$DYDIT" "${multi[@]}" -l 0-2 --latents-out b -b 2 --compare-dense --rng-device L4 --rng torch-cuda
    "$DYDIT" "${multi[@]}" -l 0-2 --latents-out c -b 1 --rng-device L4 --rng torch-cuda
    same "$sampler: batches and a comparison do not matter" b c
    "$DYDIT" plan --ckpt "$D128" --steps 5 --sampler $sampler -q -o p.json
    "$DYDIT" "${multi[@]}" -l 0-2 --latents-out c --plan p.json --preview-interval 2 --preview-path p.png
    same "$sampler: its own plan and previews do not matter" a c
    "$DYDIT" "${multi[@]}" -l 0-2 --latents-out c --cfg-interval 0 500
    differ "$sampler: a guidance interval does" a c
    # No noise is drawn between two batches, so that the second one's latents follow the first one's.
    "$DYDIT" "${multi[@]}" -l 0-1 --latents-out a --seed-mode batch -b 1
    "$DYDIT" "${multi[@]}" -l 0-1 --latents-out b --seed-mode batch -b 2
    same "$sampler: one stream for all" a b
    run "${multi[@]}" --dry-run --json
    equal "$sampler: one program for all steps" 1 "$(json "$OUT" programs)"
    refused 2 'contradict' "${multi[@]}" --steps ddim5
    refused 2 'eta' "${multi[@]}" --eta 0.5
    refused 3 'timestep' sample --ckpt "$D128" --steps 5 --sampler ddim --plan p.json
    for steps in leading5 trailing5; do accepted "${multi[@]}" -l 0 --steps $steps --latents-out c; done
done
refused 2 'spacing' "${fast[@]}" --steps trailing4
refused 2 'out of range' sample --ckpt "$D128" --sampler unipc --steps 1000
refused 2 'dpmpp2m' "${fast[@]}" --sampler dpm
latent_bytes() {
    run sample --ckpt "$D128" --steps "$2" --sampler "$1" -n 4 --dry-run --json "${@:3}"
    json "$OUT" latent_bytes
}
ddim=$(latent_bytes ddim ddim4) dpmpp2m=$(latent_bytes dpmpp2m 4) unipc=$(latent_bytes unipc 4)
equal "dpmpp2m keeps the predictions of one step" $((4 * 32 * 32 * 4)) $((dpmpp2m - ddim))
equal "unipc two, and latents" $((3 * 4 * 32 * 32 * 4)) $((unipc - ddim))
equal "previews one" $((4 * 32 * 32 * 4)) $(($(latent_bytes ddim ddim4 --preview-interval 2) - ddim))
rm -f ./*

# ---- progress ----
run sample --ckpt "$D128" --steps 20 -l 0 -o x.png --progress plain
equal "a line at about every tenth" 10 "$(wc -l <"$ERR")"
check "with steps" grep -q 'step 20/20' "$ERR"
COLUMNS=40 run "${fast[@]}" -l 0 -o x.png --progress bar
check "the bar is drawn when asked for" grep -q 'step' "$ERR"
check "and cleaned up" test "$(tail -c 4 "$ERR" | od -An -tx1 | tr -d ' \n')" = 0d1b5b4b
equal "it fits into 40 columns" 0 "$(tr '\r' '\n' <"$ERR" | sed "s/$(printf '\033')\[K//g" | awk 'length > 39' | wc -l)"
run "${fast[@]}" -l 0 -o x.png --progress none
equal "--progress none" '' "$(cat "$ERR")"

# ---- previews ----
"$DYDIT" "${fast[@]}" -q -l 0-1 -o final.png
"$DYDIT" "${fast[@]}" -q -l 0-1 -o x.png --preview-interval 3 --preview-path preview.png
same "previews do not change the result" final.png x.png
check "the last preview was of step 3" grep -a -q 'step 3 of 4' preview.png
"$DYDIT" "${fast[@]}" -q -l 0-1 -o y.png --preview-interval 1
same "previews into the output: in the end the output is there" final.png y.png
rm -f ./*.png

# ---- latents, trajectory ----
"$DYDIT" "${fast[@]}" -q -l 0-2 --latents-out l.safetensors --trajectory-out t.safetensors
equal "only these two appear" 'l.safetensors t.safetensors ' "$(ls -A | tr '\n' ' ')"
equal "latents" 'F32 [3,1,32,32]' "$("$LOOK" print l.safetensors latents)"
equal "labels" 'F32 [3]' "$("$LOOK" print l.safetensors labels)"
equal "trajectory" 'F32 [4,3,1,32,32]' "$("$LOOK" print t.safetensors x)"
equal "decisions of conditional and null rows" '[4,3,6,64]' "$("$LOOK" print t.safetensors tokens | cut -d' ' -f2)"
"$LOOK" raw l.safetensors latents 0 0 >l.raw && "$LOOK" raw t.safetensors x 3 1 >t.raw
same "the trajectory ends in the latents" l.raw t.raw
rm -f ./*
"$DYDIT" "${fast[@]}" -q -l 0-2 --latents-out l.safetensors
"$DYDIT" "${fast[@]}" -q -l 0-2 --latents-in l.safetensors --latents-out m.safetensors
differ "--latents-in starts from other latents" l.safetensors m.safetensors
"$EDIT" l.safetensors k.safetensors rename latents p.x
"$DYDIT" "${fast[@]}" -q -l 0-2 --latents-in k.safetensors --in-prefix p. --latents-out n.safetensors
same "--in-prefix finds x as well" m.safetensors n.safetensors
refused 3 'latents|x' "${fast[@]}" -l 0-3 --latents-in l.safetensors
refused 3 'k.safetensors' "${fast[@]}" -l 0-2 --latents-in k.safetensors
"$EDIT" l.safetensors k.safetensors nan latents
refused 3 'latents' "${fast[@]}" -l 0-2 --latents-in k.safetensors
refused 3 'not exist' "${fast[@]}" --latents-in none.safetensors
refused 3 'noise' "${fast[@]}" -l 0-2 --noise-in l.safetensors
refused 2 'would overwrite' "${fast[@]}" -l 0-2 --latents-in l.safetensors --latents-out ./l.safetensors
rm -f ./*

# ---- latent models ----
run sample --ckpt "$D144" --steps ddim4 --class-labels 0-2 --latents-out z.safetensors
equal "a latent model writes latents" 0 "$status"
equal "and nothing else" z.safetensors "$(ls -A)"
equal "of its shape" 'F32 [3,4,16,16]' "$("$LOOK" print z.safetensors latents)"
rm z.safetensors
run sample --ckpt "$D144" --steps 5 --sampler unipc -l 0-2 --preview linear
equal "--preview linear needs no other output" 0 "$status"
equal "and writes preview.png" preview.png "$(ls -A)"
equal "of a pixel for each latent" 56x20 "$(png_size preview.png)"
check "it is named" grep -q 'wrote preview.png' "$OUT"
check "and says what it is" grep -a -q 'linear preview' preview.png
"$DYDIT" sample --ckpt "$D144" --steps 5 --sampler unipc -l 0-2 -q --preview linear --preview-interval 2 --preview-path p.png
equal "the last preview is the result's, on the way there are others" 0 "$("$BUILD/tests/tools/png_look" difference preview.png p.png)"
refused 2 '--preview linear' sample --ckpt "$D144" --latents-out z2 --preview-interval 2
refused 2 'exclude' sample --ckpt "$D144" --latents-out z2 --preview none --preview-interval 2
refused 2 'VAE' sample --ckpt "$D144" --preview none
refused 2 'VAE' sample --ckpt "$D144" --preview linear -o x.png
refused 2 'preview-interval' "${fast[@]}" --preview linear
refused 2 'both write' sample --ckpt "$D144" --preview linear --preview-path a --latents-out a
refused 2 'none|linear' sample --ckpt "$D144" --preview proj
"$DYDIT" "${fast[@]}" -q -l 0 -o x.png && "$DYDIT" "${fast[@]}" -q -l 0 -o y.png --preview linear --preview-interval 1
same "pictures need no such preview" x.png y.png
rm -f ./*
accepted sample --ckpt "$D144" --image-size 128 --dry-run
refused 2 'image-size' sample --ckpt "$D144" --image-size 16 --latents-out z2
"$DYDIT" sample --ckpt "$D144" --steps ddim4 -n 2 -q --latents-out a --cfg-channels 3
"$DYDIT" sample --ckpt "$D144" --steps ddim4 -n 2 -q --latents-out b --cfg-channels 4
differ "--cfg-channels matters" a b
rm -f ./*

# ---- dry run ----
run sample --ckpt "$D128" --dry-run
equal "a dry run succeeds" 0 "$status"
check "it prints bytes" grep -q '[0-9] bytes' "$OUT"
check "and the largest batch" grep -q 'largest batch' "$OUT"
equal "and writes nothing" '' "$(ls -A)"
run sample --ckpt "$D128" --dry-run --json --max-mem 200M
check "as JSON" json "$OUT"
largest=$(json "$OUT" max_batch)
check "a batch within 200 MB ($largest)" test "$largest" -ge 1
run sample --ckpt "$D128" --dry-run --json --max-mem 100k
equal "nothing fits into 100 KB" 0 "$(json "$OUT" max_batch)"
refused 4 'limit|more than' sample --ckpt "$D128" --steps ddim4 --max-mem 100k
refused 4 'would fit' sample --ckpt "$D128" --steps ddim4 --num-samples 4000 -o x.png --max-mem 80M --batch-size 4000
accepted sample --ckpt "$D128" --steps ddim4 --class-labels 0 --max-mem 4G -q

# ---- full disks ----
if [ -c /dev/full ]; then
    rm -f ./*
    refused 4 'space|full' "${fast[@]}" -l 0 -o /dev/full
    refused 4 'space|full' "${fast[@]}" -l 0 --latents-out /dev/full
else
    skip "outputs on a full disk" "no /dev/full"
fi

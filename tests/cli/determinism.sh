#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Same seed, same bytes: whatever the batch size, the number of threads, the run, and the company an image is in.
. tests/cli/lib.bash

letters=(sample --ckpt "$GLYPHS" --steps ddim10 --cfg-scale 2 -q)

"$DYDIT" "${letters[@]}" --seed 5 --latents-out base.st
for pair in '1 2' '3 1' '26 3'; do
    read -r b t <<<"$pair"
    "$DYDIT" "${letters[@]}" --seed 5 --batch-size "$b" --threads "$t" --latents-out x.st
    same "batches of $b, $t threads" base.st x.st
done
"$DYDIT" "${letters[@]}" --seed 6 --latents-out other.st
differ "another seed" base.st other.st

# Image i of seed s is image 0 of seed s + i, here Q (16) and A (0).
for i in 0 16; do
    letter=$(printf '%b' "\\0$(printf %o $((65 + i)))")
    "$DYDIT" "${letters[@]}" --seed $((5 + i)) -l "$letter" --latents-out one.st
    "$LOOK" raw base.st latents $i 1 >many.raw
    "$LOOK" raw one.st latents 0 1 >one.raw
    same "image $i alone" many.raw one.raw
done

# The same with noise in every step, and with steps that are not guided.
noisy=(sample --ckpt "$D128" --steps 12 -q -l 0-6)
"$DYDIT" "${noisy[@]}" --cfg-interval 200 700 --latents-out base.st
for b in 1 3; do
    "$DYDIT" "${noisy[@]}" --cfg-interval 200 700 --batch-size $b --threads $b --latents-out x.st
    same "ddpm, guidance interval, batches of $b" base.st x.st
done
"$DYDIT" "${noisy[@]}" --cfg-interval 200 700 --seed 3 -l 3 --latents-out one.st
"$LOOK" raw base.st latents 3 1 >many.raw
"$LOOK" raw one.st latents 0 1 >one.raw
same "ddpm, image 3 alone" many.raw one.raw
"$DYDIT" "${noisy[@]}" --steps ddim12 --eta 0.5 --latents-out a.st
"$DYDIT" "${noisy[@]}" --steps ddim12 --eta 0.5 --batch-size 2 --latents-out b.st
same "ddim with eta 0.5, batches of 2" a.st b.st
"$DYDIT" "${noisy[@]}" --steps ddim12 --latents-out b.st
differ "eta matters" a.st b.st

"$DYDIT" "${noisy[@]}" --seed-mode batch --latents-out a.st
"$DYDIT" "${noisy[@]}" --latents-out b.st
differ "--seed-mode batch is another stream" a.st b.st
"$DYDIT" "${noisy[@]}" --seed-mode batch --latents-out b.st
same "--seed-mode batch repeats itself" a.st b.st
"$DYDIT" "${noisy[@]}" --seed-mode batch -l 0 --latents-out a.st
"$DYDIT" "${noisy[@]}" --seed-mode per-image -l 0 --latents-out b.st
same "with one image both modes agree" a.st b.st

# The stream that is drawn where the sampler runs.
cuda=("${noisy[@]}" --rng torch-cuda)
"$DYDIT" "${cuda[@]}" --cfg-interval 200 700 --threads 1 --latents-out base.st
for pair in '1 2' '3 1' '7 2'; do
    read -r b t <<<"$pair"
    "$DYDIT" "${cuda[@]}" --cfg-interval 200 700 --batch-size "$b" --threads "$t" --latents-out x.st
    same "torch-cuda, batches of $b, $t threads" base.st x.st
done
"$DYDIT" "${cuda[@]}" --cfg-interval 200 700 --seed 3 -l 3 --latents-out one.st
"$LOOK" raw base.st latents 3 1 >many.raw
"$LOOK" raw one.st latents 0 1 >one.raw
same "torch-cuda, image 3 alone" many.raw one.raw
"$DYDIT" "${noisy[@]}" --cfg-interval 200 700 --latents-out b.st
differ "torch-cuda is another stream" base.st b.st
"$DYDIT" "${cuda[@]}" --seed-mode batch --rng-device A100 --latents-out a.st
"$DYDIT" "${cuda[@]}" --seed-mode batch --rng-device A100 --threads 1 --compare-dense --latents-out b.st
same "torch-cuda, --seed-mode batch repeats itself" a.st b.st
"$DYDIT" "${cuda[@]}" --seed-mode batch --rng-sms 2 --rng-threads-per-sm 1024 --latents-out b.st
differ "torch-cuda, a draw beyond the card's threads depends on the card" a.st b.st
"$DYDIT" "${cuda[@]}" --steps ddim12 --precision fp32 --latents-out a.st
"$DYDIT" "${cuda[@]}" --steps ddim12 --precision fp32 --backend ref --latents-out b.st
check "torch-cuda, backends agree" "$LOOK" compare a.st latents b.st latents 0.05

# Pictures: byte for byte, so nothing of the moment is in them.
"$DYDIT" "${noisy[@]}" -o a.png && "$DYDIT" "${noisy[@]}" -o b.png --threads 2 --batch-size 4
same "pictures" a.png b.png
"$DYDIT" "${noisy[@]}" --sample-dir many && "$DYDIT" "${noisy[@]}" --batch-size 3 --sample-dir few
check "pictures of a folder" diff -r many few
"$DYDIT" "${noisy[@]}" --compare-dense --latents-out a.st && "$DYDIT" "${noisy[@]}" --latents-out b.st
same "--compare-dense does not change the result" a.st b.st
"$DYDIT" "${noisy[@]}" --trajectory-out t.st --latents-out a.st
same "--trajectory-out neither" a.st b.st
"$DYDIT" "${noisy[@]}" --backend cpu --latents-out a.st
same "auto is the CPU here" a.st b.st
"$DYDIT" "${noisy[@]}" --steps ddim12 --precision fp32 --latents-out a.st
"$DYDIT" "${noisy[@]}" --steps ddim12 --precision fp32 --backend ref --latents-out b.st
check "backends agree" "$LOOK" compare a.st latents b.st latents 0.05

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Sets of pictures in one npz: killed at any moment and gone on with they are the bytes of an unbroken run. Refusals.
. tests/cli/lib.bash

VAE=$GOLDEN/vae_c8_16_32.safetensors # factor 4
N=40
sample=(sample --ckpt "$D128" --steps ddim2 --cfg-scale 2 --threads 1 -q)

accepted "${sample[@]}" -n $N -b 5 --npz whole.npz --sample-dir each
equal 'headers, pictures, directory' $((187 + N * 32 * 32 * 3 + 173)) "$(stat -c %s whole.npz)"
equal 'how it was made' "[$N, 32, 32, 3]" "$(tr -d '\n' <whole.json | sed 's/.*"shape": *\[\([^]]*\)\].*/[\1]/; s/  */ /g; s/\[ /[/; s/ \]/]/')"
equal 'nothing else is left' 'each whole.json whole.npz' "$(echo *)"
equal 'a PNG for each' "$N 000039.png" "$(ls each | wc -l) $(ls each | tail -n 1)"

# killed_at PICTURES: SIGKILL as soon as so many are counted; then goes on where --resume is given
killed_at() {
    "$DYDIT" "${sample[@]}" --steps ddim8 -n $N -b 1 --npz k.npz --resume >"$OUT" 2>"$ERR" </dev/null &
    local pid=$!
    for _ in $(seq 3000); do
        kill -0 $pid 2>/dev/null || break
        local done
        done=$(sed -n 's/.*"images_done": *\([0-9]*\).*/\1/p' k.npz.state 2>/dev/null)
        [ "${done:-0}" -lt "$1" ] || break
        sleep 0.01
    done
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    check "killed after picture $1: it is kept" test -s k.npz.partial -a -s k.npz.state -a ! -e k.npz
}
for at in 1 12 25; do killed_at $at; done
cp k.npz.partial spoiled.npz.partial && cp k.npz.state spoiled.npz.state
printf x | dd of=spoiled.npz.partial bs=1 seek=500 conv=notrunc 2>"$TMP/dd"
refused 2 'seed was 0 .* is 1 now' "${sample[@]}" --steps ddim8 -n $N --npz k.npz --resume --seed 1
refused 2 'steps was' "${sample[@]}" -n $N --npz k.npz --resume
refused 2 'resume it, or remove it' "${sample[@]}" --steps ddim8 -n $N --npz k.npz
refused 3 'has changed since' "${sample[@]}" --steps ddim8 -n $N --npz spoiled.npz --resume
accepted "${sample[@]}" --steps ddim8 -n $N -b 8 --npz k.npz --resume
accepted "${sample[@]}" --steps ddim8 -n $N -b 16 --npz unbroken.npz
same 'killed three times: the same bytes' k.npz unbroken.npz
check 'the rest is removed' test ! -e k.npz.partial -a ! -e k.npz.state
file=$(stat -c '%i %Y' k.npz) # a set that is drawn again has the same bytes, but is another file
accepted "${sample[@]}" --steps ddim8 -n $N --npz k.npz --resume
equal 'a whole one stays as it is' "$file" "$(stat -c '%i %Y' k.npz)"
differ 'other settings, other pictures' k.npz whole.npz

# ---- latents that a VAE decodes ----
latent=(sample --ckpt "$D64" --vae "$VAE" --steps ddim2 --threads 1 --precision fp32 -q)
accepted "${latent[@]}" -n 5 -b 2 --npz v.npz --sample-dir v
accepted "${latent[@]}" -n 5 -b 3 --npz w.npz
same 'decoded batch by batch' v.npz w.npz
equal 'pictures of factor x latents' $((187 + 5 * 32 * 32 * 3 + 173)) "$(stat -c %s v.npz)"
equal 'and single ones' 32x32 "$(png_size v/000004.png)"

# ---- refusals ----
preset=("${sample[@]:0:3}" --threads 1 --npz n.npz --fid-preset dit-256)
refused 2 'steps contradicts --fid-preset dit-256, which says 250 steps' "${preset[@]}" --steps 50
refused 2 'cfg-scale contradicts --fid-preset dit-256, which says guidance of 1.5' "${preset[@]}" --cfg-scale 4
refused 2 'class-labels contradicts --fid-preset' "${preset[@]}" -l 1
refused 2 'pictures of .* have 32 x 32' "${preset[@]}"
refused 2 'resume needs --npz' "${sample[@]}" -n 2 --resume
refused 2 'fid-preset needs --npz' "${sample[@]}" -n 2 --fid-preset dit-512
refused 2 'npz and --output exclude' "${sample[@]}" -n 2 --npz n.npz -o n.png
refused 2 'seed-mode batch exclude' "${sample[@]}" -n 2 --npz n.npz --seed-mode batch
refused 2 'give --vae FILE' "${latent[@]:0:3}" --npz n.npz
refused 2 'ends with .npz' "${sample[@]}" -n 2 --npz n.zip

if python3 -c 'import numpy' 2>"$TMP/numpy"; then
    check 'numpy reads it' python3 -c "
import numpy
a = numpy.load('k.npz')['arr_0']
assert a.dtype == numpy.uint8 and a.shape == ($N, 32, 32, 3), (a.dtype, a.shape)
assert a.tobytes() == open('k.npz', 'rb').read()[187:-173]"
else
    skip 'numpy reads it' 'python3 has no numpy'
fi

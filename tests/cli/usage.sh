#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The command line itself: help, versions, flags in all spellings, and every way of using them wrongly.
# sanitize: yes
. tests/cli/lib.bash

# ---- help and version ----
for args in help --help -h 'help sample' 'sample --help' 'sample -h' 'plan --help' 'inspect --help' 'eval --help' 'bench --help' 'info --help' \
    'sample --steps 3 --help'; do
    # shellcheck disable=SC2086 # words
    accepted $args
    check "text of: $args" grep -q -i usage "$OUT"
done
accepted version
check "version is a number" grep -q -E -x 'dydit [0-9]+\.[0-9]+\.[0-9]+' "$OUT"
cp "$OUT" "$TMP/version"
accepted --version
same "--version and version agree" "$TMP/version" "$OUT"
run help
for command in sample plan inspect eval bench info; do check "help names $command" grep -q "^  $command " "$OUT"; done
run sample --help
for flag in --ckpt --num-sampling-steps --cfg-scale --global-seed --per-proc-batch-size --num-fid-samples --class-labels \
    --compare-dense --dry-run --preview-interval --preview dpmpp2m; do
    check "help of sample names $flag" grep -q -e "$flag" "$OUT"
done
check "help names defaults" grep -q 'default 250' "$OUT"
equal "help fits into 120 columns" '' "$(awk 'length > 120' "$OUT")"
run bench --help
for flag in --ratio --tokens --vs-dense --compare --svg 'exit code 5'; do check "help of bench names $flag" grep -q -i -e "$flag" "$OUT"; done
equal "help of bench fits into 120 columns" '' "$(awk 'length > 120' "$OUT")"

# ---- commands ----
refused 2 'no command'
refused 2 "unknown command 'sampel'.*did you mean sample" sampel
refused 2 "unknown command 'frobnicate'" frobnicate
refused 2 "unknown command 'smaple'.*sample" help smaple
refused 2 'unexpected argument' help sample plan
refused 2 'unexpected argument' version now
refused 2 'command comes before the flags' --ckpt "$GLYPHS"

# ---- flags ----
refused 2 'unknown flag --stpes; did you mean --steps' sample --stpes 5
refused 2 'unknown flag --num-sample.*--num-samples' sample --num_sample 5
refused 2 'unknown flag --xyzzy' sample --xyzzy
refused 2 'unknown flag -Z' sample -Z
refused 2 'unknown flag --sample-dir' plan --sample-dir x
refused 2 '--steps needs a value' sample --ckpt "$GLYPHS" --steps
refused 2 '--steps needs a value' sample --steps --ckpt "$GLYPHS"
refused 2 '--cfg-interval needs two values' sample --ckpt "$GLYPHS" --cfg-interval 5
refused 2 '--quiet takes no value' sample --quiet=yes
refused 2 'value is empty' sample --ckpt=
refused 2 "unexpected argument 'x'" sample --ckpt "$GLYPHS" x
refused 2 "unexpected argument 'x'" sample --ckpt "$GLYPHS" -- x
refused 2 'two files' inspect "$GLYPHS" --ckpt "$GLYPHS"
refused 2 'unexpected argument' inspect "$GLYPHS" "$D64"
refused 2 'no file given' inspect
refused 2 'needs none' sample --vae sd-vae --ckpt "$GLYPHS"
refused 2 'not in this version' sample --tf32 --ckpt "$GLYPHS"

# ---- models ----
refused 2 'no model.*--ckpt' sample
refused 2 'no model.*--ckpt' plan
refused 2 'goes after --ckpt' sample --model "$GLYPHS"
refused 3 'none.safetensors.*not exist' sample --ckpt none.safetensors
refused 3 'not exist' plan --ckpt none.safetensors
refused 3 'not exist' inspect none.safetensors
refused 4 'folder' sample --ckpt "$GOLDEN"
refused 2 "no-such-model" sample --ckpt "$GLYPHS" --model no-such-model
refused 3 'DyDiT-XL/2' sample --ckpt "$GLYPHS" --model DyDiT-XL/2
refused 2 'image-size 64.*32 x 32' sample --ckpt "$GLYPHS" --image-size 64

# ---- values ----
for v in 0 -1 1.5 abc '' ' 1' 0x10 99999999999999999999 9223372036854775808; do
    refused 2 '--num-samples' sample --ckpt "$GLYPHS" --num-samples="$v"
    refused 2 '--batch-size' sample --ckpt "$GLYPHS" --batch-size="$v"
    refused 2 '--zoom' sample --ckpt "$GLYPHS" --zoom="$v"
done
for v in 0 -3 2000000000000 x; do refused 2 '--nrow' sample --ckpt "$GLYPHS" --nrow "$v"; done
for v in -1 x 18446744073709551616 1e3; do refused 2 '--seed' sample --ckpt "$GLYPHS" --seed="$v"; done
for v in x nan inf -1 1e400; do refused 2 '--cfg-scale' sample --ckpt "$GLYPHS" --cfg-scale="$v"; done
for v in 2 -0.1 x; do refused 2 '--eta' sample --ckpt "$GLYPHS" --steps ddim10 --eta="$v"; done
for v in 4X G -1 0 1e30 1.2.3 ''; do refused 2 '--max-mem' sample --ckpt "$GLYPHS" --max-mem="$v"; done
refused 2 'greater' sample --ckpt "$GLYPHS" --cfg-interval 500 100
refused 2 '--cfg-interval' sample --ckpt "$GLYPHS" --cfg-interval 0 1000
refused 2 '--cfg-interval' sample --ckpt "$GLYPHS" --cfg-interval=5
refused 2 'one of' sample --ckpt "$GLYPHS" --seed-mode both
refused 2 'one of' sample --ckpt "$GLYPHS" --progress fancy
refused 2 'cfg-channels' sample --ckpt "$GLYPHS" --cfg-channels 2
for v in fp16 tf32; do refused 3 "precision $v: backend .* computes in fp32 or bf16" sample --ckpt "$GLYPHS" --precision $v; done
refused 3 "precision fp8: no backend" sample --ckpt "$GLYPHS" --precision fp8
refused 2 "precision 'int3' is not known: auto, fp32, tf32, bf16 or fp16" info --precision int3
DYDIT_ISA=avx3 refused 2 'DYDIT_ISA=avx3 is not known: portable, avx2, avx512, avx512bf16 or amx' info
accepted info
check "info lists instruction sets" grep -q -E -x 'isas  *portable(, (avx2|avx512|(avx512bf16|amx)( \(emulated\))?))*' "$OUT"
isas=$(sed -n 's/^isas  *//p' "$OUT")
for isa in portable avx2 avx512 avx512bf16 amx; do
    case ", $isas," in
    *", $isa,"* | *", $isa (emulated),"*)
        DYDIT_ISA=$isa accepted info
        check "$isa is used when asked for" grep -q "^in use  *cpu: ${isa}[, ]" "$OUT"
        ;;
    *) DYDIT_ISA=$isa refused 3 "DYDIT_ISA=$isa: not on this CPU or not in this build; there are portable" info ;;
    esac
done
refused 2 'threads' sample --ckpt "$GLYPHS" --threads -1
refused 2 'quantum' sample --ckpt "$GLYPHS" --backend quantum
refused 2 'euler' sample --ckpt "$GLYPHS" --sampler euler
refused 2 "'my-rng' is not known: torch-cpu or torch-cuda" sample --ckpt "$GLYPHS" --rng my-rng
refused 2 "'H1000' is not known: H100, .* or T4" sample --ckpt "$GLYPHS" --rng torch-cuda --rng-device H1000
refused 2 '--rng-device needs --rng torch-cuda' sample --ckpt "$GLYPHS" --rng-device A100
refused 2 '--rng-sms needs --rng torch-cuda' sample --ckpt "$GLYPHS" --rng-sms 108 --rng-threads-per-sm 2048
refused 2 '--rng-sms needs --rng-threads-per-sm' sample --ckpt "$GLYPHS" --rng torch-cuda --rng-sms 108
refused 2 '--rng-threads-per-sm needs --rng-sms' sample --ckpt "$GLYPHS" --rng torch-cuda --rng-threads-per-sm 2048
refused 2 '--rng-device and --rng-sms exclude' sample --ckpt "$GLYPHS" --rng torch-cuda --rng-device A100 --rng-sms 108
refused 2 'rng-threads-per-sm' sample --ckpt "$GLYPHS" --rng torch-cuda --rng-sms 108 --rng-threads-per-sm 255
for v in 0 1 1001 abc ddim333 ddim0 ddim 10.5 -5 99999999999999999999 ddim1001; do
    refused 2 'steps' sample --ckpt "$GLYPHS" --steps="$v"
    refused 2 'steps' plan --ckpt "$GLYPHS" --steps="$v"
done
for v in 1 1000 linspace leading1000 trailing0; do
    refused 2 'steps' sample --ckpt "$GLYPHS" --sampler dpmpp2m --steps="$v"
done

# ---- labels ----
refused 2 "label.*26.*0 to 25" sample --ckpt "$GLYPHS" --class-labels 26
refused 2 "'a'.*near matches: .*A" sample --ckpt "$GLYPHS" --class-labels a
refused 2 "'AB'" sample --ckpt "$GLYPHS" --class-labels AB
refused 2 'backwards' sample --ckpt "$GLYPHS" --class-labels Z-A
refused 2 'empty' sample --ckpt "$GLYPHS" --class-labels A,,B
refused 2 '10' sample --ckpt "$D64" --class-labels 10 --latents-out x.safetensors
refused 2 'no names' sample --ckpt "$D64" --class-labels A --latents-out x.safetensors

# ---- flags that exclude or need each other ----
refused 2 '--plan and --cfg-interval' sample --ckpt "$GLYPHS" --plan p.json --cfg-interval 0 500
refused 2 '--plan and --dense' sample --ckpt "$GLYPHS" --plan p.json --dense
refused 2 '--dense and --compare-dense' sample --ckpt "$GLYPHS" --dense --compare-dense
refused 2 '--plan and --steps' plan --ckpt "$GLYPHS" --plan p.json --steps 10
refused 2 '--preview-path needs' sample --ckpt "$GLYPHS" --preview-path p.png
refused 2 '--preview-interval needs' sample --ckpt "$GLYPHS" --preview-interval 5 --latents-out l.safetensors
refused 2 '--in-prefix needs' sample --ckpt "$GLYPHS" --in-prefix golden.
refused 2 'latent model.*4 channels.*VAE.*--latents-out.*--preview linear' sample --ckpt "$D144"
refused 2 'latent model.*VAE' sample --ckpt "$D144" --latents-out l.safetensors -o x.png
refused 2 'latent model.*VAE' sample --ckpt "$D144" --latents-out l.safetensors --sample-dir d
refused 2 '--in FILE' eval --ckpt "$D64" --out o.safetensors
refused 2 '--out FILE' eval --ckpt "$D64" --in "$D64"
refused 2 '--dense and --token-masks' eval --ckpt "$D64" --in "$D64" --out o --dense --token-masks "$D64"
refused 2 '--masks-prefix needs' eval --ckpt "$D64" --in "$D64" --out o --masks-prefix x.

# ---- outputs ----
refused 4 'nowhere' sample --ckpt "$GLYPHS" -o nowhere/x.png
refused 4 'nowhere' sample --ckpt "$GLYPHS" --steps ddim10 --latents-out nowhere/x.safetensors
refused 4 'nowhere' plan --ckpt "$GLYPHS" -o nowhere/x.json
refused 4 'nowhere' eval --ckpt "$D64" --in "$D64" --in-prefix golden. --out nowhere/x
refused 4 'folder' sample --ckpt "$GLYPHS" -o "$TMP"
refused 2 '--output and --token-map' sample --ckpt "$GLYPHS" -o x.png --token-map ./x.png
refused 2 '--latents-out and --plan-svg' sample --ckpt "$GLYPHS" --latents-out x --plan-svg "$W/x"
refused 2 'would overwrite' plan --ckpt "$GLYPHS" -o "$GLYPHS"
refused 2 'not supported' sample --ckpt "$GLYPHS" -o -
refused 2 'too large' sample --ckpt "$GLYPHS" --num-samples 100000 --steps ddim10
touch file
refused 4 'not a folder' sample --ckpt "$GLYPHS" --sample-dir file/x
mkdir closed && chmod a-w closed
if [ -w closed ]; then
    skip "a folder without write permission" "this user may write everywhere"
else
    refused 4 'closed' sample --ckpt "$GLYPHS" -o closed/x.png
fi
rm -r file closed

# ---- spellings ----
accepted sample --ckpt="$GLYPHS" --num_sampling_steps=ddim10 --class_labels A --per_proc_batch_size 1 --dry_run
accepted sample -m"$GLYPHS" --steps 3 --steps ddim10 -lA-C --dry-run
accepted sample --ckpt "$GLYPHS" --cfg-interval 10 20 --steps ddim10 --dry-run
accepted sample --ckpt "$GLYPHS" --cfg-interval=10,20 --steps ddim10 --dry-run
accepted inspect -- "$D64"
refused 2 'steps' sample -m "$GLYPHS" --steps ddim10 --steps 0 --dry-run

# ---- stdout that cannot be written ----
if [ -c /dev/full ]; then
    for args in help version info "inspect $D64" "plan --ckpt $D64 --steps 10" "sample --ckpt $D64 --steps 10 --dry-run"; do
        status=0
        # shellcheck disable=SC2086 # words
        "$DYDIT" $args >/dev/full 2>"$ERR" || status=$?
        equal "exit status with a full stdout: $(short "$args")" 4 "$status"
        check "message with a full stdout: $(short "$args")" grep -q '^dydit: .*standard output' "$ERR"
    done
    refused 4 '/dev/full' plan --ckpt "$D64" --steps 10 -o /dev/full
else
    skip "stdout that cannot be written" "no /dev/full"
fi
status=0
"$DYDIT" info >&- 2>"$ERR" || status=$?
equal "exit status with a closed stdout" 4 "$status"

# A name with a line break and an escape sequence stays on one line and harmless.
refused 3 'a.b.*not exist' inspect $'a\nb\e[31m'
equal "no escape sequence reaches the terminal" 0 "$(grep -c $'\e' "$ERR")"

# SPDX-License-Identifier: MIT
# The parts of scripts/gpu_check.sh, which sources this at the root of a bundle. Each runs in a process of its own under a limit of
# time; its last line is what came of it; exit status 77: skipped.
# shellcheck shell=bash disable=SC2154 # out, backend, quick are the check's
bin=$PWD/bin
dydit=$bin/dydit
golden=tests/golden/model_d64_h4_p2.safetensors
skip() { echo "$1"; exit 77; }
have() { command -v "$1" >/dev/null 2>&1; }
knows() { "$dydit" bench --help | grep -q -e "^ *$1\b\|[ ,]$1[ =]"; } # a flag of bench

# Field by field, since nvidia-smi refuses a list for one name that it does not know.
part_environment() {
    local field tool
    echo "commit of the programs: $(cat commit)"
    have nvidia-smi || echo "nvidia-smi: not there"
    for field in name compute_cap driver_version memory.total power.limit clocks.sm clocks.max.sm clocks.mem clocks.max.mem \
        temperature.gpu clocks_event_reasons.active ecc.mode.current mig.mode.current persistence_mode; do
        ! have nvidia-smi || echo "$field: $(nvidia-smi --query-gpu=$field --format=csv,noheader 2>&1 | paste -sd ';')"
    done
    for tool in nvcc ncu nsys compute-sanitizer python3; do
        echo "$tool: $({ have $tool && $tool --version 2>&1; } | grep -E '[0-9]+\.[0-9]' | tail -n 1 || :)"
    done
    uname -srm
    sed -n 's/^model name.*: /CPU: /p' /proc/cpuinfo | head -n 1
    echo "$(nproc) CPUs, $(sed -n 's/^MemTotal: *//p' /proc/meminfo) of memory, C library $(getconf GNU_LIBC_VERSION)"
    "$dydit" info --backend "$backend"
}

# checkkernel WHAT FLAGS...: the count is its last line
check_kernels() { "$bin/checkkernel" --impl="$backend" "$@"; }

part_kernels() { check_kernels --quick ${quick:+--most=4000}; }

has_wgmma() { "$dydit" info --backend "$backend" | grep -q '^  wgmma, '; }

part_wgmma() {
    local cases=(--full)
    [ -z "$quick" ] || cases=(--quick --most=20000)
    if ! has_wgmma; then
        [ "$backend" != cuda ] || [ "$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1)" != 9.0 ] ||
            { echo "the card has compute capability 9.0, but dydit info names no wgmma"; exit 1; }
        skip "this card has no wgmma"
    fi
    "$bin/checkkernel" --impl="${backend}_wgmma" --op=gemm "${cases[@]}"
}

# Every plan that is made takes the library about a second.
part_cudnn() {
    local cases=(--full)
    [ -z "$quick" ] || cases=(--quick --most=20000)
    "$dydit" info --backend "$backend" | grep -q '^  cuDNN [0-9]' || skip "there is no cuDNN that can be used"
    [ -n "$quick" ] || DYDIT_PLUGIN_PATH=$bin DYDIT_TEST_BACKEND=$backend DYDIT_TEST_VAE_ENGINE=cudnn CMOCKA_MESSAGE_OUTPUT=TAP \
        "$bin/test_golden_vae" || { echo "failed: golden_vae"; exit 1; }
    "$bin/checkkernel" --impl="${backend}_dnn" --op=conv2d "${cases[@]}"
}

part_shapes() {
    [ -z "$quick" ] || { check_kernels --full --op=unpatchify,guide,solve,copy --most=20000; return; }
    check_kernels --full
}

part_goldens() {
    local t tests='golden_forward golden_bf16 golden_vae session golden_sampling golden_policy golden_inherit' n=0 failed=''
    [ -z "$quick" ] || tests='golden_forward'
    export DYDIT_PLUGIN_PATH=$bin DYDIT_TEST_BACKEND=$backend CMOCKA_MESSAGE_OUTPUT=TAP
    for t in $tests; do
        "$bin/test_$t" >"$out/goldens-$t.txt" 2>&1 && ! grep -q '^not ok [0-9]* -' "$out/goldens-$t.txt" || failed="$failed $t"
        n=$((n + $(grep -c '^ok' "$out/goldens-$t.txt")))
    done
    [ -z "$failed" ] || { tail -n 3 "$out"/goldens-*.txt; echo "failed:$failed"; exit 1; }
    [ $n -gt 0 ] && echo "$n tests passed"
}

# difference FILE FILE: the largest of two files of latents
difference() { "$bin/st_look" compare "$1" latents "$2" latents inf | sed 's/^largest difference \([^ ]*\) .*/\1/'; }

# Drawn here and on the CPU. In fp32 they may differ by rounding, which may decide a token otherwise, and then the pixels that
# hang on it: at most one decision of a thousand. Without any, by the rounding of one level of a pixel, 2 / 255 in latents.
part_demo() {
    local b letters=A-Z steps=ddim50 flips worst
    [ -z "$quick" ] || letters=R steps=ddim2
    for b in cpu "$backend"; do
        "$dydit" sample --ckpt models/glyphs.safetensors --class-labels $letters --steps $steps --cfg-scale 2 --seed 800 --nrow 13 \
            --backend "$b" --precision fp32 -o "$out/demo-$b.png" --latents-out "$out/demo-$b.st" \
            --trajectory-out "$out/demo-$b-steps.st" -q || return 1
    done
    flips=$("$bin/st_look" differ "$out/demo-cpu-steps.st" tokens "$out/demo-$backend-steps.st" tokens) || return 1
    worst=$(difference "$out/demo-cpu.st" "$out/demo-$backend.st")
    rm -f "$out"/demo-*-steps.st
    echo "$flips token decisions differ from the CPU's, latents by $worst at most"
    awk -v n="${flips% of *}" -v of="${flips#* of }" -v d="$worst" \
        'BEGIN { exit !(of > 0 && (n == 0 ? d != "" && d <= 2 / 255 : 1000 * n <= of)) }'
}

# A forward pass is off by 1e-5 of its largest output at most, as the goldens hold it. The first of two DDIM steps, at t = 500,
# turns an error e of the output into sqrt((1 - abar) / abar) e = 3.4 e in the latents, guidance of 1.5 doubles it, the second
# one hardly adds; outputs of these models are below 10. In bf16 six matrices of each of 28 blocks are rounded to 2^-9, which adds
# up to sqrt(168) 2^-9 = 0.025 of outputs that are below 1 in the mean. An op that is wrong changes the whole output.
part_models() {
    local size sizes='S XL' precision precisions='fp32 bf16' limit d model=$out/model.st labels=1,2,3 bad=0
    [ -z "$quick" ] || sizes=golden precisions=fp32 labels=1
    for size in $sizes; do
        if [ "$size" = golden ]; then
            cp $golden "$model"
        else # 62 % of the units, every token: none can be decided otherwise
            "$bin/random_model" "$model" "DyDiT-$size/2" 32 0.62 50 || return 1
        fi
        for precision in $precisions; do
            set -- --ckpt "$model" --class-labels $labels --steps ddim2 --cfg-scale 1.5 -q
            [ $precision = bf16 ] || "$dydit" sample "$@" --backend cpu --precision fp32 --latents-out "$out/model-cpu.st" || return 1
            "$dydit" sample "$@" --backend "$backend" --precision $precision --latents-out "$out/model-$precision.st" || return 1
            limit=7e-4
            [ $precision = fp32 ] || limit=0.17
            d=$(difference "$out/model-cpu.st" "$out/model-$precision.st")
            echo "$size, $precision: latents differ by $d at most from the CPU's in fp32, allowed are $limit"
            awk -v d="$d" -v limit=$limit 'BEGIN { exit !(d != "" && d <= limit) }' || bad=1
        done
        rm -f "$out"/model*.st
    done
    return $bad
}

sanitizer() { # TOOL FLAGS...
    local tool=$1
    shift
    have compute-sanitizer || skip "compute-sanitizer is not there"
    compute-sanitizer --tool "$tool" --error-exitcode 9 "$bin/checkkernel" --impl="$backend" --quick "$@"
}
together=gemm,attention,route,adaln,patch_embed # ops whose threads work together
most=20000
[ -z "$quick" ] || most=1000
part_memcheck() { sanitizer memcheck --most=$most; }
part_racecheck() { sanitizer racecheck --most=$most --op=$together; }

# bench NAME SIZE BATCHES FLAGS...: a report of its own. The last of two equal flags counts: where it has to be quick, it is tiny.
bench() {
    local name=$1 batches=$3 model=(--model "DyDiT-$2/2") more=()
    shift 3
    [ -z "$quick" ] || batches=1 model=(--ckpt $golden) more=(--steps ddim2 --warmup 0 --repeat 1)
    [ ! -s "$out/tune.json" ] || more+=(--tune-cache "$out/tune.json")
    "$dydit" bench --backend "$backend" "${model[@]}" --batch-size "$batches" --steps ddim10 --warmup 1 --repeat 5 "$@" "${more[@]}" \
        --out "$out/bench-$name.json"
}
all_modes=(--mode 'dense,tdw,tdw+sdt' --ratio 0.5,0.7)
one_mode=(--mode 'dense,tdw+sdt' --ratio 0.5)

# A report for each batch size, so that those that were finished survive the limit of time.
part_bench_xl() {
    local batch sizes='16 1 64 4'
    [ -z "$quick" ] || sizes=1
    for batch in $sizes; do bench "xl-$batch" XL "$batch" "${all_modes[@]}" || return; done
}
part_bench_l() { bench l L 1,16 "${all_modes[@]}"; }
part_bench_b() { bench b B 1,16,64 "${all_modes[@]}"; }
part_bench_s() { bench s S 1,16,64 "${all_modes[@]}"; }
part_profile() { bench profile XL 16 "${one_mode[@]}" --repeat 1 --profile; }
part_fp32() { bench fp32 XL 4 "${one_mode[@]}" --repeat 2 --precision fp32; }

part_tune() {
    local model=(--model DyDiT-XL/2 --batch-size 1,4,16,64)
    [ -z "$quick" ] || model=(--ckpt $golden --batch-size 1)
    "$dydit" tune --help >/dev/null 2>&1 || skip "this program has one engine"
    "$dydit" tune --backend "$backend" "${model[@]}" --steps ddim10 --tune-cache "$out/tune.json"
}

# Also slices, which an engine may take only where no graph holds their sizes.
part_graphs() {
    knows --no-graph || skip "this program has no graphs"
    bench no-graph XL 1,16 --no-graph "${one_mode[@]}" || return
    ! knows --engine || bench no-graph-lt XL 1,16 --no-graph --engine lt "${one_mode[@]}"
}

part_engines() {
    local engine engines='own lt auto' failed=''
    knows --engine || skip "this program has one engine"
    ! has_wgmma || engines="$engines wgmma"
    for engine in $engines; do
        bench "engine-$engine" XL 1,16 --engine $engine "${one_mode[@]}" || failed="$failed $engine"
    done
    [ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
}

part_torch() {
    have python3 || skip "python3 is not there"
    python3 bench/torch_dit.py --seconds 90 --out "$out/torch.json"
}

part_hottest() {
    local flags=()
    [ -z "$quick" ] || flags=(--ckpt $golden --batch-size 1)
    have ncu || skip "ncu is not there"
    DYDIT=$dydit scripts/profile_ncu.sh --hottest 5 --range '' --out "$out/hottest" -- --backend "$backend" "${flags[@]}"
}

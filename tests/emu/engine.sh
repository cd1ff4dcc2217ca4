#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The engine of cuBLASLt under the emulator, with the stand-in of tests/emu/lt: the op gemm against the reference, runs by
# either engine, `dydit tune` and its file, failures. Run by tests/run.sh in `test` mode as one shell test, or by hand; prints
# `ok - NAME`, `not ok - NAME`, `skip - NAME # REASON`.
cd "$(dirname "$0")/../.." || exit 1
. tests/emu/lib.bash
export XDG_CACHE_HOME=$tmp/cache
mkdir "$tmp/cache" || exit 1

# ---- facts of the header ---------------------------------------------------------------------------------------------

# values NAME OPTIONS...: the header that these options find has the values and prototypes in use
values() {
    ${CC:-cc} -std=c11 "${@:2}" -fsyntax-only -x c "$root/tests/emu/lt/test_values.c" >"$tmp/out" 2>&1
    verdict $? "$1" "$tmp/out"
}

cuda=$(dirname "$(dirname "$(realpath "$nvcc")")")/include
values "the stand-in's header" -I"$root/tests/emu/lt" -isystem "$cuda"
if echo '#include <cublasLt.h>' | ${CC:-cc} -isystem "$cuda" -x c -fsyntax-only - >/dev/null 2>&1; then
    values "NVIDIA's header" -isystem "$cuda"
else
    skip "NVIDIA's header" "cublasLt.h is missing"
fi

# ---- opening the library ---------------------------------------------------------------------------------------------

calls=$(sed -n 's/^ *CALL(\([A-Za-z]*\)).*/\1/p' "$root/kernels/cuda/lt.h")
if (cd "$root" && ${CC:-cc} -std=c11 -I. -Itests/emu/lt -isystem "$cuda" -o "$tmp/load" tests/emu/lt/test_load.c \
    host/exec/plugin_cuda_{lt_load,library}.c -ldl -pthread) >"$tmp/out" 2>&1; then
    # shellcheck disable=SC2086 # words
    library cublasLt libcublasLt.so.13 130205 $calls && opens "a library" 0 "13.2.5\|$tmp/lib/libcublasLt.so.13"
    # shellcheck disable=SC2086
    library cublasLt libcublasLt.so.13 120900 $calls && opens "one of another version" 1 '\|libcublasLt.so.13 is of version 12, this build is for 13'
    # shellcheck disable=SC2086
    library cublasLt libcublasLt.so.13 130205 ${calls/MatrixLayoutCreate/} && opens "one that lacks a call" 1 '\|libcublasLt.so.13 has no function cublasLtMatrixLayoutCreate'
    echo text >"$tmp/lib/libcublasLt.so.13" && opens "no library" 1 '\|.*libcublasLt.so.13: .*'
else
    not_ok "the loader is compiled" "$tmp/out"
fi

# ---- the op ----------------------------------------------------------------------------------------------------------

"$make" --no-print-directory -C "$root" CONFIG=release all unit emu build/release/emu/checkkernel >"$tmp/build" 2>&1 ||
    { tail -n 20 "$tmp/build" >"$tmp/tail"; not_ok "build" "$tmp/tail"; exit 0; }
cases() { # NAME LEAST SETTING OPTIONS...
    local status=0 passed
    env "$3" "$root/build/release/emu/checkkernel" --impl=emu_lt --op=gemm --most=300000 "${@:4}" >"$tmp/out" 2>&1 </dev/null ||
        status=$?
    passed=$(sed -n 's/^gemm *emu_lt *\([1-9][0-9]*\) passed.*/\1/p' "$tmp/out")
    [ "${passed:-0}" -ge "$2" ] || status=1
    verdict $status "gemm, $1: ${passed:-no} cases" "$tmp/out"
}
cases "quick cases" 30 EMU_STREAMS=late --quick
cases "streams in any order" 30 EMU_STREAMS=random --quick
cases "a bias that is hardly aligned" 1 EMU_STREAMS=late --full '--case=m8,n13/13x1,k12/8,f32-f32,bias,*'

# ---- runs ------------------------------------------------------------------------------------------------------------

dynamic() { "$dydit" sample -m "$small" --backend emu --precision fp32 -l 1,2 --steps ddim2 -q "$@"; }
tiny() { dynamic --dense "$@"; }

# run NAME COMMAND...: exit status 0 and nothing on stderr
run() {
    local status=0
    "${@:2}" >"$tmp/out" 2>&1 </dev/null || status=$?
    [ ! -s "$tmp/out" ] || status=1
    verdict $status "$1" "$tmp/out"
}

# fails CODE REGEX COMMAND...: one sentence that matches
fails() {
    local status=0
    "${@:3}" >"$tmp/out" 2>&1 </dev/null || status=$?
    sed -i '/^emu: .* fails as asked by EMU_FAIL$/d' "$tmp/out"
    [ $status = "$1" ] && [ "$(wc -l <"$tmp/out")" = 1 ] && grep -Eq "^dydit: .*$2" "$tmp/out"
}

same() { cmp -s "$1" "$2"; }

run "own kernels" tiny --engine own --latents-out own.st
run "cuBLASLt" tiny --engine lt --latents-out lt.st
run "cuBLASLt, no graph" tiny --engine lt --no-graph --latents-out lt-plain.st
same lt.st lt-plain.st
verdict $? "GEMMs of the library are recorded in graphs"
run "auto without measurements" tiny --latents-out auto.st
run "reproducible" tiny --reproducible --latents-out repro.st
! same own.st lt.st
verdict $? "the engines differ in bits: both were there"
same own.st auto.st
verdict $? "auto is own without measurements"
same own.st repro.st
verdict $? "reproducible is own"
run "slices, own kernels" dynamic --engine own --latents-out s-own.st
run "slices, cuBLASLt" dynamic --engine lt --no-graph --latents-out s-lt.st
run "slices in a graph" dynamic --engine lt --latents-out s-graph.st
! same s-graph.st s-lt.st
verdict $? "slices in a graph are the own kernels'"
run "slices, cuBLASLt, work of streams in any order" env EMU_STREAMS=random "$dydit" sample -m "$small" --backend emu --precision fp32 \
    -l 1,2 --steps ddim2 -q --engine lt --no-graph --latents-out s-random.st
! same s-lt.st s-own.st && same s-lt.st s-random.st
verdict $? "slices: the engines differ in bits, orders of streams do not"

# distance FILE FILE: the largest difference of two outputs
distance() { "$tools/st_look" compare "$1" out "$2" out inf | sed 's/^largest difference \([^ ]*\) .*/\1/'; }

# forward NAME [--dense]: one pass, in fp32 within 1e-5 as the goldens (the largest output is above 1); in bf16 as far from fp32
# as the reference that rounds at the same places, within a factor of 2 (tests/emu/backend.sh).
forward() {
    local e32 r16 e16 p
    local eval=("$dydit" eval -m "$small" -i "$small" --in-prefix golden. -q "${@:2}")
    for p in fp32 bf16; do
        "${eval[@]}" --backend ref --precision $p -o ref-$p.st && "${eval[@]}" --backend emu --engine lt --no-graph --precision $p -o lt-$p.st ||
            not_ok "$1, $p"
    done
    e32=$(distance ref-fp32.st lt-fp32.st) r16=$(distance ref-fp32.st ref-bf16.st) e16=$(distance ref-fp32.st lt-bf16.st)
    awk -v e="$e32" 'BEGIN { exit !(e != "" && e <= 1e-5) }'
    verdict $? "$1, fp32: off by $e32"
    awk -v r="$r16" -v e="$e16" 'BEGIN { exit !(r > 0 && e <= 2 * r && e >= r / 2) }'
    verdict $? "$1, bf16: $e16 from fp32, the reference $r16"
}
forward "complete model" --dense
forward "slices"
for e in own lt; do
    "$dydit" sample -m "$small" --backend emu -l 1 --steps ddim2 --engine $e --dry-run >"$tmp/dry-$e" 2>&1
done
! cmp -s "$tmp/dry-own" "$tmp/dry-lt"
verdict $? "the dry run counts the library's memory" "$tmp/dry-lt"
"$dydit" info --backend emu --engine lt >"$tmp/out" 2>&1
grep -q '^  cuBLASLt 13.1.0, a stand-in$' "$tmp/out" && grep -q '^gemms *cuBLASLt 13.1.0 where it can (engine lt)$' "$tmp/out"
verdict $? "info names the library" "$tmp/out"

# ---- tune ------------------------------------------------------------------------------------------------------------

tune() { "$dydit" tune -m "$small" --backend emu --precision fp32 --steps ddim2 "$@"; }
cache=$XDG_CACHE_HOME/dydit/tune.json

tune -b 2 >"$tmp/out" 2>&1
[ $? = 0 ] && [ -s "$cache" ] && [ "$(grep -c ' whole .* \(bias\|gelu\|residual\) ' "$tmp/out")" -ge 6 ] && grep -q ' slices ' "$tmp/out" && [ "$(ls -A "$XDG_CACHE_HOME/dydit")" = tune.json ]
verdict $? "tune measures every GEMM and keeps the times" "$tmp/out"
# The times of an emulator say nothing: made up ones decide here.
as() { sed -E "s/(\"library_us\": )[0-9.e+-]*/\1$1/; s/(\"own_us\": )[^,]*/\1$2/" "$cache" >"$3"; }
as 1.0 2.0 lt-faster.json
as 2.0 1.0 own-faster.json
run "auto, cuBLASLt measured faster" tiny --tune-cache lt-faster.json --latents-out a.st
run "auto, own measured faster" tiny --tune-cache own-faster.json --latents-out b.st
same a.st lt.st
verdict $? "auto takes cuBLASLt where it was faster"
same b.st own.st
verdict $? "auto takes the own kernels where they were faster"
run "auto, another batch" tiny -l 1,2,3 --tune-cache lt-faster.json --latents-out a3.st
run "own, another batch" tiny -l 1,2,3 --engine own --latents-out b3.st
same a3.st b3.st
verdict $? "shapes that were not measured are own"
sed 's/"driver": "[^"]*"/"driver": "1.0"/' lt-faster.json >stale.json
tiny --tune-cache stale.json --latents-out s.st >"$tmp/out" 2>&1
same s.st own.st && [ "$(wc -l <"$tmp/out")" = 0 ]
verdict $? "stale times are ignored, quietly with -q" "$tmp/out"
"$dydit" info --backend emu --tune-cache stale.json >/dev/null 2>"$tmp/out"
grep -q 'stale.json holds times of .* by another driver, dydit or library: run dydit tune$' "$tmp/out"
verdict $? "and a note says so" "$tmp/out"
tune -b 1,3 --tune-cache stale.json -q >"$tmp/out" 2>&1 && ! grep -q '"driver": "1.0"' stale.json && [ ! -s "$tmp/out" ]
verdict $? "tune replaces them" "$tmp/out"
echo garbage >bad.json
fails 3 'bad.json' tiny --tune-cache bad.json --latents-out x.st
verdict $? "a garbage file that was named" "$tmp/out"
fails 3 'bad.json' tune --tune-cache bad.json && [ "$(cat bad.json)" = garbage ]
verdict $? "tune leaves it alone" "$tmp/out"
echo garbage >"$cache"
"$dydit" info --backend emu >/dev/null 2>"$tmp/out"
[ $? = 0 ] && [ "$(wc -l <"$tmp/out")" = 1 ] && grep -q '^dydit: warning: .*tune.json.*own kernels are used$' "$tmp/out"
verdict $? "a garbage file in the default place: a warning, own kernels" "$tmp/out"
rm "$cache"
fails 4 'no-such/tune.json' tune --tune-cache no-such/tune.json
verdict $? "a file that cannot be written" "$tmp/out"

# ---- wgmma, on devices that have it ----------------------------------------------------------------------------------

fails 3 'wgmma cannot be used: it needs a device of compute capability 9.0, in use is emulated' "$dydit" sample -m "$small" \
    --backend emu -l 1 --steps ddim2 -q --engine wgmma --latents-out x.st && [ ! -e x.st ]
verdict $? "wgmma on another device: one sentence" "$tmp/out"
# executes NAME yes|no COMMAND...: was the kernel of wgmma among those of the run?
executes() {
    local got=no
    rm -f executed
    env EMU_KERNELS=executed "${@:3}" >"$tmp/out" 2>&1 && { ! grep -q gemm_wgmma_kernel executed || got=yes; } || got=failed
    [ $got = "$2" ]
    verdict $? "$1: $got" "$tmp/out"
}
bf16=(env EMU_ARCH=90 "$dydit" sample -m "$small" --backend emu --precision bf16 -l 1,2 --steps ddim2 -q)

executes "own: wgmma is executed" no "${bf16[@]}" --engine own --latents-out h-own.st
executes "wgmma: it is executed" yes "${bf16[@]}" --engine wgmma --latents-out h-wgmma.st
run "wgmma without graphs" "${bf16[@]}" --engine wgmma --no-graph --latents-out h-plain.st
same h-wgmma.st h-plain.st
verdict $? "GEMMs of wgmma are recorded in graphs"
env EMU_ARCH=90 "$dydit" info --backend emu --engine wgmma >"$tmp/out" 2>&1
grep -q '^gemms *wgmma where it can (engine wgmma)$' "$tmp/out" && grep -q '^  wgmma, the matrix instructions' "$tmp/out"
verdict $? "info says who does them" "$tmp/out"
env EMU_ARCH=90 "$dydit" tune -m "$small" --backend emu --precision bf16 --steps ddim2 -b 2 --dense >"$tmp/out" 2>&1 &&
    [ "$(grep -c '"wgmma_us": [0-9]' "$cache")" -ge 6 ] && grep -q '"schema_version": 2' "$cache"
verdict $? "tune measures wgmma too" "$tmp/out"
third() { sed -E "s/(\"own_us\": )[^,]*/\1$1/; s/(\"library_us\": )[^,]*/\1$2/; s/(\"wgmma_us\": ).*/\1$3/" "$cache" >third.json; }
# who NAME OWN LT WGMMA WORDS: with these times
who() {
    third "$2" "$3" "$4"
    env EMU_ARCH=90 "$dydit" info --backend emu --tune-cache third.json 2>&1 | grep '^gemms' >"$tmp/out"
    grep -Eq "^gemms *$5 \(engine auto\)\$" "$tmp/out"
    verdict $? "auto, $1" "$tmp/out"
}
who "own fastest" 1.0 2.0 3.0 'own kernels'
who "cuBLASLt fastest" 3.0 1.0 2.0 'cuBLASLt 13.1.0 for [0-9]+ shapes(, wgmma for [0-9]+)?, own kernels'
who "wgmma fastest" 3.0 2.0 1.0 '(cuBLASLt 13.1.0 for [0-9]+ shapes, )?wgmma for [0-9]+( shapes)?, own kernels'
executes "auto, it was fastest: it is executed" yes "${bf16[@]}" --dense --tune-cache third.json --latents-out h-x.st
executes "auto, it was fastest but cannot be set up: it is executed" no env EMU_FAIL=cudaFuncSetAttribute:1 "${bf16[@]}" --dense \
    --tune-cache third.json --latents-out h-x.st
executes "own, it was fastest: it is executed" no "${bf16[@]}" --dense --tune-cache third.json --engine own --latents-out h-x.st
executes "reproducible, it was fastest: it is executed" no "${bf16[@]}" --dense --tune-cache third.json --reproducible --latents-out h-x.st
"$dydit" info --backend emu --tune-cache third.json >"$tmp/out" 2>&1 && grep -q '^gemms *own kernels' "$tmp/out"
verdict $? "on another device they do not hold" "$tmp/out"

# ---- failures --------------------------------------------------------------------------------------------------------

for call in Create:1 MatmulDescCreate:1 MatmulDescSetAttribute:2 MatrixLayoutCreate:2 MatmulPreferenceCreate:2 \
    MatmulPreferenceSetAttribute:3 MatmulAlgoGetHeuristic:1 Matmul:1 Matmul:9; do
    fails 4 "cublasLt${call%:*}: status 13" env EMU_FAIL="cublasLt$call" "$dydit" sample -m "$small" --backend emu --precision fp32 \
        -l 1,2 --steps ddim2 --dense -q --engine lt --latents-out x.st && [ ! -e x.st ]
    verdict $? "cublasLt$call fails: one sentence" "$tmp/out"
done
fails 4 'on the device, [0-9.]+ GB are free: [0-9.]+ GB are missing' env EMU_MEMORY=100 "$dydit" sample -m "$small" --backend emu -l 1 \
    --steps ddim2 -q --engine lt --latents-out x.st
verdict $? "too little memory for the library is said so" "$tmp/out"
run "and enough without it" env EMU_MEMORY=100 "$dydit" sample -m "$small" --backend emu -l 1 --steps ddim2 -q --latents-out y.st
for call in cudaStreamCreateWithPriority:2 cudaEventCreateWithFlags:15 cudaStreamWaitEvent:1 cudaStreamWaitEvent:4 \
    cudaEventRecord:2 cudaEventRecord:4 cudaLaunchKernel:60; do
    fails 4 'failed on emulated|out of device memory' env EMU_FAIL=$call "$dydit" sample -m "$small" --backend emu --precision fp32 \
        -l 1,2 --steps ddim2 -q --engine lt --no-graph --latents-out x.st && [ ! -e x.st ]
    verdict $? "$call fails: one sentence" "$tmp/out"
done
fails 4 'cublasLtMatmul: status 13' env EMU_FAIL=cublasLtMatmul:30 "$dydit" tune -m "$small" --backend emu --tune-cache x.json -q &&
    [ ! -e x.json ]
verdict $? "tune fails: one sentence, no file" "$tmp/out"

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Convolutions by cuDNN under the emulator, with the stand-in of tests/emu/cudnn: the op conv2d against the reference, faults
# planted in the host code, decoded pictures, failures. Run by tests/run.sh in `test` mode as one shell test, or by hand; prints
# `ok - NAME`, `not ok - NAME`, `skip - NAME # REASON`.
cd "$(dirname "$0")/../.." || exit 1
. tests/emu/lib.bash
vae=$root/tests/golden/vae_c8_16_32.safetensors
cuda=$(dirname "$(dirname "$(realpath "$nvcc")")")/include
cc=("${CC:-cc}" -std=c11 -I"$root" -I"$root/tests/emu/lt" -I"$root/tests/emu/cudnn" -isystem "$cuda")

# ---- facts of the header ---------------------------------------------------------------------------------------------

# values NAME OPTIONS...: the header that these options find has the values and prototypes in use
values() {
    ${CC:-cc} -std=c11 "${@:2}" -fsyntax-only -x c "$root/tests/emu/cudnn/test_values.c" >"$tmp/out" 2>&1
    verdict $? "$1" "$tmp/out"
}
values "the stand-in's header" -I"$root/tests/emu/cudnn" -isystem "$cuda"
if echo '#include <cudnn_graph.h>' | ${CC:-cc} -isystem "$cuda" -x c -fsyntax-only - >/dev/null 2>&1; then
    values "NVIDIA's header" -isystem "$cuda"
else
    skip "NVIDIA's header" "cudnn_graph.h is missing"
fi
mkdir "$tmp/none" && echo '#error none' >"$tmp/none/cudnn_version.h"
echo '#define CUDNN_VERSION 90700' >"$tmp/none/cudnn_graph.h"
"${cc[@]:0:3}" -I"$tmp/none" -isystem "$cuda" -fsyntax-only "$root"/host/exec/plugin_cuda_dnn{,_load}.c >"$tmp/out" 2>&1
verdict $? "the code without a header of 9.8 or later" "$tmp/out"

# ---- opening the library ---------------------------------------------------------------------------------------------

calls=$(sed -n 's/^ *CALL(\([A-Za-z]*\)).*/\1/p' "$root/host/exec/plugin_cuda_dnn.h")
if "${cc[@]}" -o "$tmp/load" "$root"/tests/emu/cudnn/test_load.c "$root"/host/exec/plugin_cuda_{dnn_load,library}.c -ldl -pthread \
    >"$tmp/out" 2>&1; then
    # shellcheck disable=SC2086 # words
    library cudnn libcudnn.so.9 90912 $calls && opens "a library" 0 "9.9.12\|$tmp/lib/libcudnn.so.9"
    # shellcheck disable=SC2086
    library cudnn libcudnn.so.9 90705 $calls && opens "one that is too old" 1 '\|libcudnn.so.9 is of version 9.7.5, this build is for 9.8 to 9.99'
    # shellcheck disable=SC2086
    library cudnn libcudnn.so.9 100000 $calls && opens "one of another major version" 1 '\|libcudnn.so.9 is of version 10.0.0, this build is for 9.8 to 9.99'
    # shellcheck disable=SC2086
    library cudnn libcudnn.so.9 91900 ${calls/BackendExecute/} && opens "one that lacks a call" 1 '\|libcudnn.so.9 has no function cudnnBackendExecute'
    echo text >"$tmp/lib/libcudnn.so.9" && opens "no library" 1 '\|.*libcudnn.so.9: .*'
else
    not_ok "the loader is compiled" "$tmp/out"
fi

# ---- the op, as it is and with faults --------------------------------------------------------------------------------

build release all unit emu build/release/emu/{checkkernel,test_conv} || exit 0
checkkernel=$root/build/release/emu/checkkernel

# cases PROGRAM LEAST SETTING OPTIONS...: all pass, and so many are not left to the own kernel
cases() {
    local status=0 passed
    env "$3" timeout 120 "$1" --impl=emu_dnn --op=conv2d "${@:4}" >"$tmp/out" 2>&1 </dev/null || status=$?
    passed=$(sed -n 's/^conv2d *emu_dnn *\([1-9][0-9]*\) passed.*/\1/p' "$tmp/out")
    [ $status = 0 ] && [ "${passed:-0}" -ge "$2" ]
}
cases "$checkkernel" 12 EMU_STREAMS=late --quick
verdict $? "conv2d, quick cases" "$tmp/out"
cases "$checkkernel" 12 EMU_STREAMS=random --quick
verdict $? "conv2d, streams in any order" "$tmp/out"
cases "$checkkernel" 4 EMU_STREAMS=late --full --most=3000000 '--case=b*,bf16-f32,residual,*'
verdict $? "conv2d, bf16 with a residual" "$tmp/out"

# fault NAME WORDS OLD NEW: with NEW in the one place of OLD, the quick cases must end in these words
fault() {
    local old=$3 new=$4 text status=0 objects
    text=$(cat "$root/host/exec/plugin_cuda_dnn.c")
    printf '%s\n' "${text/"$old"/"$new"}" >"$tmp/faulty.c"
    mapfile -t objects < <(tr ' ' '\n' <"$checkkernel.inputs" | grep -v '^$\|/plugin_cuda_dnn\.o$')
    if [ "$(grep -cF "$old" <<<"$text")" != 1 ]; then
        echo "'$old' is not there once" >"$tmp/out" && status=1
    elif ! { "${cc[@]}" -g0 -Og -c -o "$tmp/faulty.o" "$tmp/faulty.c" &&
        (cd "$root" && "${CXX:-g++}" -o "$tmp/faulty" "$tmp/faulty.o" "${objects[@]}"); } >"$tmp/out" 2>&1; then
        status=1
    else
        cases "$tmp/faulty" 12 EMU_STREAMS=late --quick && status=1
        grep -Eq -- "$2" "$tmp/out" || status=1
    fi
    verdict $status "fault: $1" "$tmp/out"
}
fault "planes of channels" 'FAIL .*: value' '1, d[3] * d[1], d[1]}' 'd[2] * d[3], d[3], 1}'
fault "taps mirrored" 'convolution.: CUDNN_STATUS_NOT_SUPPORTED' 'mode = CUDNN_CROSS_CORRELATION' 'mode = CUDNN_CONVOLUTION'
fault "no padding" 'CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH' '{p->of.ksize / 2, p->of.ksize / 2}' '{0, 0}'
fault "twice the sums" 'convolution.: CUDNN_STATUS_NOT_SUPPORTED' 'alpha = 1' 'alpha = 2'
fault "sums that are stored" '^conv2d .* 0 passed|nothing' '{b, n, h, w}, true, "sums"}' '{b, n, h, w}, false, "sums"}'
fault "an attribute left out" 'CUDNN_STATUS_BAD_PARAM' 'put(&m, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);' ''
fault "an attribute of another type" 'CUDNN_STATUS_BAD_PARAM' 'CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE' 'CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_INT64'
fault "tensor cores for float32" 'FAIL .*: value' 'TENSOR_CORE: return src != DD_FMT_F32' 'TENSOR_CORE: return true'
fault "any way" 'FAIL .*: value' 'default: return false' 'default: return true'
fault "ways that need more memory than there is" 'workspace' '(uint64_t)p->workspace <= dnn->setup.workspace_bytes' 'true'
fault "a residual that is the result" 'FAIL .*: value' 'a->residual != a->dst && ' ''
fault "bias and residual exchanged" 'FAIL|cudnnBackendExecute, an operand' '{UID_X, UID_W, UID_BIAS, UID_DST, UID_RESIDUAL}' '{UID_X, UID_W, UID_RESIDUAL, UID_DST, UID_BIAS}'
fault "another stream" 'FAIL .*: value' 'SetStream(dnn->handle, stream)' 'SetStream(dnn->handle, NULL)'
fault "descriptors that stay" 'emu: leak: [0-9]+ objects of cuDNN' 'while (p->n_made > 0) drop(dnn, p->made[--p->n_made]);' ''
fault "half the channels" 'CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH' '(tensor){UID_X, in, {b, c, h, w}' '(tensor){UID_X, in, {b, c / 2, h, w}'

# ---- pictures --------------------------------------------------------------------------------------------------------

program "golden_vae" DYDIT_PLUGIN_PATH="$root/build/release" DYDIT_TEST_BACKEND=emu DYDIT_TEST_VAE_ENGINE=cudnn \
    CMOCKA_MESSAGE_OUTPUT=TAP build/release/tests/unit/test_golden_vae
program "graphs" DYDIT_PLUGIN_PATH="$root/build/release" build/release/emu/test_conv
# decode ENGINE PRECISION FLAGS...: ENGINE-PRECISION.st
decode() {
    "$dydit" decode --backend emu --vae "$vae" --in "$vae" --in-prefix golden. -q --vae-engine "$1" --precision "$2" \
        --pictures-out "$1-$2.st" "${@:3}"
}
for e in own cudnn auto; do
    for p in fp32 bf16; do run "$e, $p" decode $e $p; done
done
! cmp -s own-fp32.st cudnn-fp32.st && ! cmp -s own-bf16.st cudnn-bf16.st
verdict $? "the engines differ in bits: both were there"
cmp -s own-fp32.st auto-fp32.st && ! cmp -s own-bf16.st auto-bf16.st
verdict $? "auto is cuDNN in bf16, own in float32"
decode cudnn fp32 --pictures-out again.st && cmp -s again.st cudnn-fp32.st
verdict $? "the same shapes have the same bits"

"$dydit" info --backend emu >"$tmp/out" 2>&1 && grep -q '^  cuDNN 9.19.0, a stand-in$' "$tmp/out"
verdict $? "info names the library" "$tmp/out"
peak() {
    "$dydit" sample -m "$small" --vae "$vae" --backend emu --precision bf16 -l 1 --steps ddim2 -o x.png --vae-engine "$1" --dry-run --json |
        sed -n 's/.*"vae_peak_bytes": \([0-9]*\).*/\1/p'
}
own=$(peak own) with=$(peak cudnn)
[ -n "$own" ] && [ $((with - own)) = $((32 << 20)) ]
verdict $? "the dry run counts the library's memory: $own, $with"
"$dydit" sample -m "$small" --vae "$vae" --backend emu --precision bf16 -n 3 -b 2 --steps ddim2 --npz set.npz --vae-engine cudnn -q >"$tmp/out" 2>&1 &&
    grep -q '"engine": "cuDNN 9.19.0 where it can"' set.json
verdict $? "a set says who decoded it" "$tmp/out"

# ---- failures --------------------------------------------------------------------------------------------------------

# fails CODE REGEX COMMAND...: one sentence that matches
fails() {
    local status=0
    "${@:3}" >"$tmp/out" 2>&1 </dev/null || status=$?
    sed -i '/^emu: .* fails as asked by EMU_FAIL$/d' "$tmp/out"
    [ $status = "$1" ] && [ "$(wc -l <"$tmp/out")" = 1 ] && grep -Eq "^dydit: .*$2" "$tmp/out"
}
failing() { # CALL:N ENGINE
    EMU_FAIL=$1 "$dydit" decode --backend emu --vae "$vae" --in "$vae" --in-prefix golden. -q --vae-engine "$2" --precision bf16 --pictures-out "x-$2.st"
}
for call in cudnnCreate:1 cudnnSetStream:1 cudnnBackendCreateDescriptor:1 cudnnBackendCreateDescriptor:20 cudnnBackendSetAttribute:30 \
    cudnnBackendFinalize:1 cudnnBackendFinalize:9 cudnnBackendGetAttribute:2 cudnnBackendExecute:7; do
    fails 4 "${call%:*} \([a-z0-9 ]+\): CUDNN_STATUS_EXECUTION_FAILED" failing "$call" cudnn && [ ! -e x-cudnn.st ]
    verdict $? "$call fails: one sentence" "$tmp/out"
done
for call in cudnnCreate:1 cudnnBackendFinalize:9 cudnnBackendGetAttribute:2; do
    rm -f x-auto.st
    failing "$call" auto >"$tmp/out" 2>&1 && [ -e x-auto.st ]
    verdict $? "$call fails: auto goes on with own kernels" "$tmp/out"
done
rm -f x-auto.st
fails 4 'cudnnBackendExecute \(convolution\): ' failing cudnnBackendExecute:1 auto && [ ! -e x-auto.st ]
verdict $? "work that has begun and fails is no reason to go on" "$tmp/out"
fails 4 'GB on the device, [0-9.e-]+ GB are free' env EMU_MEMORY=30 "$dydit" decode --backend emu --vae "$vae" --in "$vae" --in-prefix golden. \
    -q --vae-engine cudnn --precision bf16 --pictures-out x.st
verdict $? "too little memory for the library is said so" "$tmp/out"
run "and enough without it" env EMU_MEMORY=30 "$dydit" decode --backend emu --vae "$vae" --in "$vae" --in-prefix golden. -q --precision bf16 \
    --pictures-out x.st

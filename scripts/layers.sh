#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checks the directions in which files include each other (docs/DESIGN.md, "Tree"). Prints FILE:LINE for each violation.
#
#   scripts/layers.sh [ROOT]      exit 1 if there is any
#   scripts/layers.sh --self-test plants violations in a copy and checks that each is found
set -eu
cd "$(dirname "$0")/.."

check() {
    local files
    mapfile -d '' -t files < <(cd "$1" && find include kernels host bench examples -name '*.[ch]' -print0 -o \
        -name '*.cu' -print0 -o -name '*.cuh' -print0 -o -name '*.def' -print0 2>/dev/null | sort -z)
    [ "${#files[@]}" -gt 0 ] || { echo "layers: no sources found" >&2; return 1; }
    (cd "$1" && awk '
        # What a file may include between quotes, as a pattern.
        function allowed(f) {
            if (f ~ /^include\//) return "^$"
            if (f ~ /^host\/cli\//) return "^(dydit[.]h|cli/.*)$"
            if (f ~ /^bench\//) return "^(dydit[.]h|bench/.*)$"
            if (f ~ /^examples\//) return "^(dydit[.]h|examples/.*)$"
            if (f ~ /^kernels\//) return "^kernels/.*$"
            if (f ~ /^host\/base\//) return host("base")
            if (f ~ /^host\/io\//) return host("io|base")
            if (f ~ /^host\/model\//) return host("model|io|base")
            if (f ~ /^host\/plan\//) return host("plan|model|io|base")
            if (f ~ /^host\/sample\//) return host("sample|model|io|base")
            if (f ~ /^host\/exec\/backend_[^\/]*\.c$/) return host("exec|plan|sample|model|io|base", "|kernels/cpu/cpu[.]h|kernels/cpu/peak[.]h|kernels/ref/ref[.]h")
            if (f ~ /^host\/exec\/plugin_[^\/]*\.[ch]$/) return host("exec|base", "|kernels/cuda/(cuda|lt|gemm_wgmma|packed)[.]h")
            if (f ~ /^host\/exec\//) return host("exec|plan|sample|model|io|base")
            if (f ~ /^host\/api[^\/]*\.[ch]$/) return host("exec|plan|sample|model|io|base", "|dydit[.]h|host/api[^/]*")
            return ""
        }
        function host(layers, more) { return "^(kernels/(ops[.]h|ops[.]def|dtype[.]h|status[.]h)|host/(" layers ")/[^/]*" more ")$" }
        function cuda_file(f) { return f ~ /^kernels\/cuda\// || f ~ /^host\/exec\/plugin/ }
        function report(why) { printf "%s:%d: %s: %s\n", FILENAME, FNR, why, $0; bad = 1 }

        FNR == 1 {
            pattern = allowed(FILENAME)
            if (pattern == "") report("file belongs to no layer")
        }
        /^[ \t]*#[ \t]*include[ \t]*["<]/ {
            quoted = $0 ~ /include[ \t]*"/
            name = $0
            sub(/^[^"<]*["<]/, "", name)
            sub(/[">].*$/, "", name)
            if (name ~ /^(cuda|cublas|cudnn|curand|nv|cooperative_groups|mma[.]h)/ && !cuda_file(FILENAME)) report("CUDA header")
            else if (!quoted && name ~ /^(host|kernels|cli|bench|tests)\//) report("own header in angle brackets")
            else if (quoted && name != "dydit.h" && name !~ /^(host|kernels|cli|bench|examples)\/[^.]/) report("include is not rooted")
            else if (quoted && pattern != "" && name !~ pattern) report("wrong direction")
        }
        END { exit bad }' "${files[@]}")
}

self_test() {
    local tmp out failed=0
    tmp=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$tmp'" EXIT

    # FILE | a line in it | the reason expected, or fine
    local cases='host/cli/a.c|#include "host/exec/run.h"|wrong direction
host/cli/b.c|#include "exec/run.h"|include is not rooted
host/cli/c.c|#include "cli/options.h"|fine
host/cli/d.c|#include "dydit.h"|fine
bench/a.c|#include "kernels/ops.h"|wrong direction
examples/a.c|#include "host/io/json.h"|wrong direction
examples/b.c|#include <dydit.h>|fine
include/a.h|#include "kernels/status.h"|wrong direction
host/plan/a.c|#include "host/sample/rng.h"|wrong direction
host/plan/b.c|#include "host/exec/lower.h"|wrong direction
host/plan/c.c|#include "host/model/model.h"|fine
host/sample/a.c|#include "host/plan/plan.h"|wrong direction
host/model/a.c|#include "host/plan/plan.h"|wrong direction
host/io/a.c|  #  include "host/model/model.h" /* x */|wrong direction
host/base/a.c|#include "host/io/json.h"|wrong direction
host/base/b.c|#include "kernels/status.h"|fine
host/base/c.c|#include "dydit.h"|wrong direction
host/exec/a.c|#include "kernels/cpu/cpu.h"|wrong direction
host/exec/backend_cpu.c|#include "kernels/cpu/cpu.h"|fine
host/exec/backend_ref.c|#include "kernels/ref/gemm.h"|wrong direction
host/exec/b.c|#include "host/cli/options.h"|wrong direction
host/exec/plugin_a.c|#include "kernels/cuda/cuda.h"|fine
host/exec/plugin_b.c|#include "host/model/model.h"|wrong direction
host/exec/plugin_c.c|#include <cuda_runtime_api.h>|fine
host/exec/f.c|#include "kernels/cuda/cuda.h"|wrong direction
host/api.c|#include "host/exec/run.h"|fine
host/api_x.c|#include "dydit.h"|fine
host/api.h|#include "host/cli/x.h"|wrong direction
host/stray.c|#include <stdio.h>|file belongs to no layer
host/sub/a.c|int x;|file belongs to no layer
kernels/ref/a.c|#include "host/base/pool.h"|wrong direction
kernels/ref/b.c|#include "kernels/ops.h"|fine
kernels/cpu/a.c|#include "ops.h"|include is not rooted
kernels/cpu/b.c|#include "../ops.h"|include is not rooted
kernels/cpu/c.c|#include <kernels/ops.h>|own header in angle brackets
kernels/cpu/d.c|#include <cuda_runtime.h>|CUDA header
host/exec/e.c|#include <nvtx3/nvToolsExt.h>|CUDA header
kernels/cuda/a.cu|#include <cuda_runtime.h>|fine
kernels/cuda/b.cuh|#include "host/base/log.h"|wrong direction'

    local file line want
    while IFS='|' read -r file line want; do
        mkdir -p "$tmp/$(dirname "$file")"
        printf '%s\n' "/* line 1 */" "$line" >"$tmp/$file"
    done <<<"$cases"
    out=$(check "$tmp") && { echo "layers: exit status 0 in spite of violations" >&2; failed=1; }
    while IFS='|' read -r file line want; do
        case "$want" in
        fine) if grep -q "^$file:" <<<"$out"; then echo "layers: false alarm: $file: $line" >&2; failed=1; fi ;;
        *) grep -q "^$file:[12]: $want" <<<"$out" || { echo "layers: not caught ($want): $file: $line" >&2; failed=1; } ;;
        esac
    done <<<"$cases"

    # A copy of the real tree gets one violation per layer, at its end.
    rm -rf "${tmp:?}"/*
    local d victim n=0
    for d in include kernels host bench examples; do [ ! -d "$d" ] || cp -R "$d" "$tmp/"; done
    for d in include kernels host/base host/io host/model host/plan host/sample host/exec host/cli; do
        victim=$(find "$tmp/$d" -name '*.[ch]' 2>/dev/null | sort | head -n 1)
        [ -n "$victim" ] || continue
        printf '\n#include "host/nowhere/x.h"\n' >>"$victim"
        check "$tmp" | grep -q "^${victim#"$tmp"/}:$(wc -l <"$victim"): wrong direction" || { echo "layers: not caught in $d" >&2; failed=1; }
        n=$((n + 1))
    done
    [ "$n" -gt 0 ] || { echo "layers: nothing was planted" >&2; failed=1; }
    return $failed
}

case "${1-}" in
--self-test) self_test && echo "layers: planted violations are caught" ;;
*) check "${1:-.}" && echo "layers: include directions hold" ;;
esac

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# scripts/profile_*.sh, with the two profilers played: what they are asked, and what is made of their answers.
. tests/cli/lib.bash
NSYS=$ROOT/scripts/profile_nsys.sh NCU=$ROOT/scripts/profile_ncu.sh
export DYDIT CALLS=$TMP/calls
bin=$TMP/tools
mkdir "$bin"
play() { cat >"$bin/$1" && chmod +x "$bin/$1"; }

# script NAME ARGS...: $OUT, $ERR, $status
script() {
    status=0
    "$@" >"$OUT" 2>"$ERR" </dev/null || status=$?
}
# words NAME FILE WORDS: they stand in the file, one behind the other
words() { check "$1" grep -q -F -e "$3" "$2"; }

# ---- --print, and machines without the tools ----
script "$NSYS" --print --out r -- --mode dense
equal "nsys: --print succeeds" 0 "$status"
words "nsys: records between the program's marks" "$OUT" '--capture-range=cudaProfilerApi --capture-range-end=stop'
words "nsys: kernels of graphs" "$OUT" '--cuda-graph-trace=node'
check "nsys: flags of bench replace the defaults" grep -q -e "bench --backend cuda --model DyDiT-XL/2 --ratio 0.5 .* --repeat 1 --mode dense *\$" "$OUT"
script "$NSYS" --print --whole-graphs
words "nsys: --whole-graphs" "$OUT" '--cuda-graph-trace=graph'
script "$NCU" --print --kernel gemm --range 'dydit@block/' --count 3
words "ncu: waits for the program's mark" "$OUT" '--profile-from-start off'
words "ncu: the range" "$OUT" "--nvtx-include dydit@block/"
words "ncu: the kernel, the count" "$OUT" '--launch-count 3 --kernel-name regex:gemm'
for counter in sm__pipe_tensor_cycles_active dram__bytes.sum lts__t_sector_hit_rate l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_ld; do
    words "ncu: $counter" "$OUT" "$counter"
done
script "$NCU" --print --hottest 2
equal "ncu: --hottest is two runs" 2 "$(wc -l <"$OUT")"
script "$NCU" --count x
equal "ncu: --count x" 2 "$status"
equal "nothing is left behind" '' "$(ls -A "$W")"
# The flags are this program's.
script "$NSYS" --print -- --backend cpu --ckpt "$D64" --ratio 0.7 --batch-size 1
read -r -a words <<<"$(sed -n '1s/^.* bench /bench /p' "$OUT")"
check "bench takes what the scripts give it" "$DYDIT" "${words[@]}" -q

if command -v nsys >/dev/null || command -v ncu >/dev/null; then
    skip "without the tools" "they are here"
else
    for s in "$NSYS" "$NCU"; do
        script "$s" --out "$TMP/r"
        equal "$(basename "$s") without its tool" "77 1" "$status $(wc -l <"$ERR")"
    done
fi

# ---- with the tools ----
play nsys <<'SH'
#!/bin/sh
echo "nsys $*" >>"$CALLS"
SH
# Three kernels, of which the second takes longest in all; in the second run those that --kernel-name names.
play ncu <<'SH'
#!/bin/sh
echo "ncu $*" >>"$CALLS"
[ -z "${DENIED-}" ] || { echo "==ERROR== ERR_NVGPUCTRPERM - The user does not have permission" >&2; exit 1; }
echo "==PROF== Connected"
[ -z "${NOTHING-}" ] || exit 0
echo '"ID","Kernel Name","gpu__time_duration.sum"'
echo '"","","ns"'
echo '"0","void (anonymous namespace)::gemm_kernel<(int)3, float>(dd_gemm_args, int)","1,000"'
echo '"1","void <unnamed>::attention_kernel(const float *)","4000"'
echo '"2","gemm_kernel2(int)","500"'
echo '"3","void (anonymous namespace)::gemm_kernel<(int)3, float>(dd_gemm_args, int)","2000"'
SH
export PATH=$bin:$PATH
script "$NSYS" --out "$TMP/sub/r"
equal "nsys: recorded, then its tables" "0 2" "$status $(grep -c '^nsys' "$CALLS")"
words "nsys: tables of the report" "$CALLS" "$TMP/sub/r.nsys-rep"
: >"$CALLS"
script "$NCU" --out "$TMP/r" --hottest 2
equal "ncu: two runs" "0 2" "$status $(grep -c '^ncu' "$CALLS")"
words "ncu: the second is of the two hottest kernels" "$CALLS" '--kernel-name regex:^(attention_kernel|gemm_kernel) --launch-count 16'
equal "ncu: they are listed, the hottest first" "0.5333 0.004 1 attention_kernel 0.4000 0.003 2 gemm_kernel" \
    "$(sed -n '2,3p' "$OUT" | sed -e 's/void .*::\([a-z_]*\)[<(].*/\1/' | tr '\t\n' '  ' | sed 's/ *$//')"
NOTHING=1 script "$NCU" --out "$TMP/r"
equal "ncu: nothing measured is a failure" 1 "$status"
DENIED=1 script "$NCU" --out "$TMP/r"
equal "ncu: no permission" 77 "$status"
check "ncu: the permission is explained" grep -q 'ERR_NVGPUCTRPERM.*PROFILING.md' "$ERR"

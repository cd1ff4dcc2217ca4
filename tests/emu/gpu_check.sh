#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# scripts/gpu_check.sh from end to end, with the emulator in place of a GPU, tiny shapes, and tools that are played; then what
# it makes of programs that fail, hang or are missing. Run by tests/run.sh in `test` mode as one shell test, or by hand; prints
# `ok - NAME`, `not ok - NAME`, `skip - NAME # REASON`.
cd "$(dirname "$0")/../.." || exit 1
. tests/emu/lib.bash
cd "$root" || exit 1
bundle=$tmp/bundle

MAKE=$make scripts/gpu_bundle.sh --backend emu "$bundle" >"$tmp/out" 2>&1
status=$?
verdict $status "a bundle: $(tail -n 1 "$tmp/out" | sed "s|$tmp/||")" "$tmp/out"
[ $status = 0 ] || exit 1
libraries=$(ldd "$bundle/bin/dydit" "$bundle/bin/checkkernel" "$bundle/bin/st_look" "$bundle"/bin/test_* | grep -E 'jansson|png|libz\.|not found')
[ -z "$libraries" ] && ldd "$bundle/bin/dydit" | grep -q libc.so
verdict $? "its programs need no format libraries $libraries"

# ---- from end to end -----------------------------------------------------------------------------------------------------

mkdir "$tmp/tools"
play() { cat >"$tmp/tools/$1" && chmod +x "$tmp/tools/$1"; }
play compute-sanitizer <<'SH'
#!/bin/sh
[ "$1" != --version ] || { echo "compute-sanitizer 0.0"; exit; }
while [ "${1#--}" != "$1" ]; do case $1 in --tool | --error-exitcode) shift ;; esac; shift; done
"$@" && echo "========= ERROR SUMMARY: 0 errors"
SH
play ncu <<'SH'
#!/bin/sh
echo '"ID","Kernel Name","gpu__time_duration.sum"'
echo '"","","ns"'
echo '"0","void gemm_kernel<1>(int)","1000"'
SH
# PyTorch's place: one batch was timed, and one failed.
play python3 <<'SH'
#!/bin/sh
[ "$1" != --version ] || { echo "Python 3.0"; exit; }
while [ "$1" != --out ]; do shift; done
echo '{"cases": [{"mode": "eager", "batch": 1, "status": "failed"}, {"mode": "compiled", "batch": 1, "median_ms": 1e6}],
    "gemms": [{}, {}, {}, {}, {"tflops": 1e-3}]}' >"$2"
SH
export PATH=$tmp/tools:$PATH

# Started elsewhere, and not from the tree: nothing of it is needed.
cd "$tmp" || exit 1
"$bundle/scripts/gpu_check.sh" --backend emu --quick --out "$tmp/check" >out 2>&1 </dev/null
verdict $? "all parts: $(grep -c -E '^(passed|measured) ' out) of them, $(sed -n 's/^everything.*; //p' out)" out
[ "$(grep -c '^passed ' check/summary.txt)" = 8 ]
verdict $? "eight parts check values" check/summary.txt
! grep -E '^(FAILED|cut) ' check/summary.txt
verdict $? "none failed, none was cut" check/summary.txt
for f in xl-1 l b s profile fp32; do
    grep -q '"schema": "dydit-bench"' "check/bench-$f.json" && grep -q "^bench-$f$" check/summary.txt
    verdict $? "bench-$f has a report and a table"
done
grep -q 'gemm_kernel' check/summary.txt
verdict $? "the hottest kernels are in the summary" check/hottest.log
grep -Eq '^compiled +1 +1000000[.]000 +[0-9.]+ \( *[0-9.]+ x\) +[0-9.]+ \( *[0-9.]+ x\)$' check/summary.txt && ! grep -q '^eager' check/summary.txt
verdict $? "the table against PyTorch" check/summary.txt
grep -Eq '^tdw[+]sdt 0[.]7 +1 +[0-9.e-]+ +[0-9]+ %$' check/summary.txt
verdict $? "rates, and their share of another's" check/summary.txt
size=$(wc -c <check.tar.gz)
[ "$size" -le $((16 << 20)) ] && tar -tzf check.tar.gz | grep -q '^check/summary.txt$'
verdict $? "an archive of $size bytes"

EMU_ARCH=90 "$bundle/scripts/gpu_check.sh" --backend emu --quick --out "$tmp/hopper" --only wgmma,engines >out 2>&1 </dev/null
[ $? = 0 ] && grep -Eq '^passed +wgmma .*[1-9][0-9]* passed' hopper/summary.txt && [ -s hopper/bench-engine-wgmma.json ] &&
    grep -q '^skipped  *wgmma .*no wgmma' check/summary.txt
verdict $? "wgmma is checked and timed where the card has it" out

# ---- programs that do not do what they should -----------------------------------------------------------------------------

cp "$bundle/bin/checkkernel" "$tmp/good"
checkkernel() { cat >"$bundle/bin/checkkernel" && chmod +x "$bundle/bin/checkkernel"; }
# ends STATUS NAME REGEX FLAGS...: of the check, whose summary has such a line
ends() {
    local status=0
    "$bundle/scripts/gpu_check.sh" --backend emu --quick --out "$tmp/check" "${@:4}" >out 2>&1 </dev/null || status=$?
    [ $status = "$1" ] && grep -Eq -e "$3" check/summary.txt
    verdict $? "$2" out
}

rm "$bundle/bin/checkkernel"
checkkernel <<<'#!/bin/sh
echo 3 passed, 1 failed, 0 skipped; exit 1'
ends 1 "a failure is named, and the next part runs" '^FAILED +kernels .*1 failed' --only kernels,fp32
grep -q '^measured  fp32' check/summary.txt && grep -q '^FAILED: kernels;' check/summary.txt
verdict $? "the last line names it" out
checkkernel <<<'#!/bin/sh
exec sleep 60'
ends 1 "a check that hangs is cut, which is no success" '^cut +kernels ' --only kernels --seconds 19
ends 1 "without time all is cut" '^cut +kernels .*ended after 0 s' --only kernels --seconds 3
checkkernel <<<'#!/bin/sh
kill -SEGV $$'
ends 1 "a crash is a failure" '^FAILED +kernels ' --only kernels
checkkernel <<<'#!/bin/sh
echo all of emu: no device; exit 77'
ends 1 "a check of kernels that cannot run is no success" '^(skipped|FAILED) +kernels ' --only kernels
rm "$tmp/tools/ncu"
ends 0 "a missing tool is no failure" '^skipped +hottest .*ncu is not there' --only hottest
"$bundle/scripts/gpu_check.sh" --only nothing >out 2>&1
[ $? = 2 ] && grep -q "no part 'nothing'" out
verdict $? "an unknown part" out
mkdir other
"$bundle/scripts/gpu_check.sh" --backend emu --quick --only fp32 --out "$tmp/other" >out 2>&1
[ $? = 2 ] && [ -d other ] && grep -q 'no results of an earlier run' out
verdict $? "a folder of something else is left alone" out
echo "# gpu check: $((SECONDS - began)) s"

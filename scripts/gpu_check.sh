#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# One command for the day when a GPU is there: is everything right on it, and how fast is it? Needs a driver and a C library,
# no network and nobody at the keyboard; takes less than nine minutes; goes on after failures.
#
#   scripts/gpu_check.sh [flags]
#
#   --seconds N       for all of it (default 525); what finds no time left is cut, and named
#   --out DIR         results (default build/gpu-check), and DIR.tar.gz, at most 16 MiB
#   --only LIST       parts, commas between them
#   --list            prints the parts
#   --backend emu     the kernels on the CPU; with --quick: is this script in order?
#   --quick           tiny shapes, a few seconds each
#
# What it runs is build/gpu-bundle or build/gpu-bundle.tar.gz (`make gpu-bundle`), or the bundle that it is part of. Where there is
# none it makes one for the GPUs of this machine, which needs nvcc and what scripts/deps.sh names.
#
# Parts are in the order of their importance. Exit status: 0 where all parts that check values have passed and none failed; 1
# otherwise; 2 usage. The parts of tools that are not there (compute-sanitizer, ncu, PyTorch) are skipped.
set -u
self=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
cd "$(dirname "$self")/.." || exit 1

# name, `check` (values) or `time` (figures), limit in seconds, what it does
parts='environment  time  20  device, driver, clocks, CPU
kernels      check 70  every op against the reference, quick cases
wgmma        check 40  GEMMs by wgmma against the reference, all cases, where the card has it
goldens      check 60  forward passes and sampling runs of the golden files
models       check 60  whole models of published sizes, against the CPU
demo         check 60  letters of the demo model, against the CPU
tune         time  40  dydit tune, where there is: which engine is faster for each dense GEMM
bench_xl     time  110 DyDiT-XL/2: dense, 70 % and 50 %, batches 1 to 64
shapes       check 120 every op, all cases, with the widths of published models
cudnn        check 60  convolutions by cuDNN against the reference and diffusers, where it is
memcheck     check 45  small cases under compute-sanitizer, memory
racecheck    check 45  the same, races
torch        time  100 PyTorch on the same shapes: eager, masked, compiled
engines      time  95  engines of dense GEMMs side by side, where there is --engine
graphs       time  40  the same op by op, where there is --no-graph
profile      time  25  seconds by kind of op
hottest      time  60  counters of the five hottest kernels, by ncu
bench_l      time  40  DyDiT-L/2
bench_b      time  25  DyDiT-B/2
bench_s      time  20  DyDiT-S/2
fp32         time  30  DyDiT-XL/2 without tensor cores'

usage() { sed -n '/^# One command/,/^set /{/^set /d;s/^# \{0,1\}//p}' "$self"; }
stop() { echo "gpu-check: $1" >&2; exit 2; }

backend=cuda quick='' total=525 out='' only='' part=''
while [ $# -gt 0 ]; do
    case $1 in
    --help | -h) usage; exit 0 ;;
    --list) echo "$parts"; exit 0 ;;
    --quick) quick=1 ;;
    --backend | --seconds | --out | --only | --part)
        [ $# -gt 1 ] || stop "$1 needs a value"
        case $1 in
        --backend) backend=$2 ;;
        --seconds) total=$2 ;;
        --out) out=$2 ;;
        --only) only=$2 ;;
        --part) part=$2 ;; # of itself, under a limit of time
        esac
        shift
        ;;
    *) stop "unknown flag $1; --help lists them" ;;
    esac
    shift
done
case $backend in cuda | emu) ;; *) stop "--backend is cuda or emu, not '$backend'" ;; esac
case $total in '' | *[!0-9]*) stop "--seconds needs a whole number, not '$total'" ;; esac
for word in ${only//,/ }; do grep -q "^$word " <<<"$parts" || stop "there is no part '$word'; --list prints them"; done
out=${out:-build/gpu-check}
case $out in /*) ;; *) out=$PWD/$out ;; esac

if [ -n "$part" ]; then
    . scripts/gpu_parts.sh
    "part_$part"
    exit
fi

# ---- the whole ------------------------------------------------------------------------------------------------------------

# The folder that holds the programs.
find_bundle() {
    local name=build/gpu-bundle
    [ $backend = cuda ] || name=$name-$backend
    bundle=$PWD/$name
    if [ -x bin/dydit ]; then
        bundle=$PWD
    elif [ ! -x $name/bin/dydit ] && [ -f $name.tar.gz ]; then
        tar -xzf $name.tar.gz -C build || exit 1
    elif [ ! -x $name/bin/dydit ]; then
        echo "gpu-check: there is no $name; making one for this machine" >&2
        ARCHS=${ARCHS-} scripts/gpu_bundle.sh --backend $backend $name >&2 || {
            echo "gpu-check: no programs: make build/gpu-bundle elsewhere (make gpu-bundle) and bring it here" >&2
            exit 1
        }
    fi
    [ "$(cat "$bundle/backend")" = $backend ] || { echo "gpu-check: $bundle is for --backend $(cat "$bundle/backend")" >&2; exit 1; }
}

say() { printf '%s\n' "$*" | tee -a "$out/summary.txt"; }

left() { echo $((total - SECONDS - 12)); } # twelve for the archive

# run NAME KIND LIMIT: a line of the summary
run() {
    local name=$1 kind=$2 limit=$3 began=$SECONDS status=0 word flags=()
    [ -z "$quick" ] || flags=(--quick) limit=$total # of a machine that may be busy
    if [ "$(left)" -lt 5 ]; then
        status=124 limit=0
        echo "no time left" >"$out/$name.log"
    else
        [ "$limit" -le "$(left)" ] || limit=$(left)
        timeout -k 5 "$limit" "$BASH" "$bundle/scripts/gpu_check.sh" --backend $backend "${flags[@]}" --out "$out" --part "$name" \
            >"$out/$name.log" 2>&1 </dev/null || status=$?
    fi
    case $status in
    0) word=passed && [ "$kind" = check ] || word=measured ;;
    77) word=skipped ;;
    124 | 137) word=cut && echo "ended after $limit s" >>"$out/$name.log" ;;
    *) word=FAILED ;;
    esac
    # A check that was cut has not passed, nor has one that could not run, but for want of a tool or of instructions.
    case $kind/$word/$name in
    check/skipped/*check | check/skipped/wgmma | check/skipped/cudnn) ;;
    */FAILED/* | check/cut/* | check/skipped/*) failed="$failed $name" ;;
    esac
    say "$(printf '%-9s %-12s %4d s  %s' $word "$name" $((SECONDS - began)) "$(tail -n 1 "$out/$name.log" | cut -c 1-120)")"
}

# watch: clocks, power and temperature while all this runs
watch() {
    command -v nvidia-smi >/dev/null || return 0
    nvidia-smi --query-gpu=timestamp,clocks.sm,clocks.mem,power.draw,temperature.gpu,utilization.gpu --format=csv -lms 500 \
        >"$out/clocks.csv" 2>&1 </dev/null &
    watcher=$!
}

# What is large and can be had again goes first, until the archive is small enough.
archive() {
    local most=$((16 << 20)) drop
    for drop in '' '*.ncu-rep' '*.st' '*.png' '*.log'; do
        [ -z "$drop" ] || find "$out" -name "$drop" -delete
        tar -czf "$out.tar.gz" -C "$(dirname "$out")" "$(basename "$out")" || return 1
        [ "$(wc -c <"$out.tar.gz")" -gt $most ] || { echo "gpu-check: $out/summary.txt, $out.tar.gz"; return 0; }
    done
    echo "gpu-check: $out.tar.gz is larger than 16 MiB" >&2
    return 1
}

[ ! -e "$out" ] || [ -f "$out/summary.txt" ] || stop "$out is there, and no results of an earlier run"
failed='' watcher=''
find_bundle
cd "$bundle" || exit 1
rm -rf "$out" && mkdir -p "$out" || exit 1
say "dydit $(cat commit) on --backend $backend, $(date -u +%Y-%m-%dT%H:%M:%SZ)${quick:+, tiny shapes}"
watch
trap '[ -z "$watcher" ] || kill "$watcher" 2>/dev/null' EXIT
while read -r name kind limit _; do
    [ -z "$only" ] || [[ ,$only, == *,$name,* ]] || continue
    run "$name" "$kind" "$limit"
done <<<"$parts"
say "$([ -n "$failed" ] && echo "FAILED:$failed" || echo "everything that checks values has passed"); $SECONDS s"
. scripts/gpu_tables.sh
tables | tee -a "$out/summary.txt"
archive || failed="$failed archive"
[ -z "$failed" ]

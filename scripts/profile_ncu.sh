#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Counters of the kernels in the timed part of `dydit bench`, by Nsight Compute. bench/PROFILING.md explains them.
#
#   scripts/profile_ncu.sh [flags] [--] [flags of dydit bench]
#
#   --print          only prints the commands
#   --out FILE       the report, without its ending (default build/profile/ncu)
#   --kernel REGEX   only kernels of this name
#   --range FILTER   only kernels in such a range, as ncu's --nvtx-include: 'dydit@step/' (default), 'dydit@block/',
#                    'regex:dydit@blocks.3.mlp.*/'; '': all of the timed part
#   --count N        launches that are measured (default 20)
#   --hottest N      first times every kernel once, then measures the N names that took longest
#   --full           all sections of ncu, for its window, instead of the counters below
#
# Flags of bench replace the defaults below. DYDIT: the program. Exit status 77 without ncu or without
# the permission to read counters.
set -u
cd "$(dirname "$0")/.." || exit 1
out=build/profile/ncu print='' kernel='' range='dydit@step/' count=20 hottest='' full=''
while [ $# -gt 0 ]; do
    case $1 in
    --print) print=1 ;;
    --full) full=1 ;;
    --out) out=${2-}; shift ;;
    --kernel) kernel=${2-}; shift ;;
    --range) range=${2-}; shift ;;
    --count) count=${2-}; shift ;;
    --hottest) hottest=${2-}; shift ;;
    --) shift; break ;;
    --help | -h) sed -n '/^# Counters/,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) break ;;
    esac
    shift
done
for n in "$count" "${hottest:-1}"; do
    case $n in '' | *[!0-9]* | 0*) echo "profile: --count and --hottest need a number, not '$n'" >&2; exit 2 ;; esac
done
[ -n "$out" ] || { echo "profile: --out needs a value" >&2; exit 2; }
. scripts/profile.bash
find_dydit
# Launch by launch, where there are graphs: then kernels are in the ranges of their ops.
eager=()
! "$dydit" bench --help | grep -q -e '--no-graph' || eager=(--no-graph)
bench_command ddim2 "${eager[@]}" "$@"
measure=(ncu --profile-from-start off --clock-control base --target-processes application-only)
[ -z "$range" ] || measure+=(--nvtx --nvtx-include "$range")
duration=gpu__time_duration.sum
# Tensor pipe, memory, cache, shared memory (bank conflicts), occupancy and what limits it.
counters=$duration,sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active
counters+=,sm__throughput.avg.pct_of_peak_sustained_elapsed,dram__throughput.avg.pct_of_peak_sustained_elapsed,dram__bytes.sum
counters+=,lts__t_sector_hit_rate.pct,l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_ld.sum
counters+=,l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_st.sum,sm__warps_active.avg.pct_of_peak_sustained_active
counters+=,launch__registers_per_thread,launch__shared_mem_per_block_dynamic,launch__occupancy_limit_registers
what=(--metrics "$counters" --csv --page raw --print-units base)
[ -z "$full" ] || what=(--set full --import-source yes --force-overwrite --export "$out")

# run FILE COMMAND...: its output there. Counters that may not be read are said in one sentence.
run() {
    local file=$1 status=0
    shift
    if [ -n "$print" ]; then
        show "$@"
        return
    fi
    "$@" >"$file" 2>"$file.err" || status=$?
    if grep -q ERR_NVGPUCTRPERM "$file" "$file.err"; then
        echo "profile: this user may not read the GPU's counters (ERR_NVGPUCTRPERM); bench/PROFILING.md says what helps" >&2
        exit 77
    fi
    [ $status = 0 ] || { tail -n 5 "$file.err" "$file" >&2; exit 1; }
}

# column NAME FILE: of ncu's CSV, kernel name and that column, a tab between them; units are in the second line
column() {
    awk -v name="$1" '
        /^"ID"/ { n = split(substr($0, 2, length($0) - 2), head, "\",\""); for (i = 1; i <= n; i++) at[head[i]] = i; units = 1; next }
        units { units = 0; next }
        /^"/ && name in at { split(substr($0, 2, length($0) - 2), f, "\",\""); v = f[at[name]]; gsub(/,/, "", v); print f[at["Kernel Name"]] "\t" v }' "$2"
}

# A name as a regular expression, without its template arguments and parameters.
pattern() { sed -e 's/(anonymous namespace):://g; s/<unnamed>:://g; s/[<(].*//; s/^.* //; s/^.*:://' | sort -u | paste -sd '|'; }

if [ -z "$print" ]; then
    command -v ncu >/dev/null || { echo "profile: ncu is missing; Nsight Compute comes with CUDA's installer" >&2; exit 77; }
    mkdir -p "$(dirname "$out")" || exit 1
fi
select=(--launch-count "$count")
[ -z "$kernel" ] || select+=(--kernel-name "regex:$kernel")
if [ -n "$hottest" ]; then
    run "$out.times.csv" "${measure[@]}" --metrics $duration --csv --page raw --print-units base "${bench[@]}"
    if [ -z "$print" ]; then
        column $duration "$out.times.csv" | awk -F '\t' '{ t[$1] += $2; n[$1]++; sum += $2 }
            END { for (k in t) printf "%.4f\t%.3f\t%d\t%s\n", t[k] / sum, t[k] / 1e6, n[k], k }' | sort -rn >"$out.times.txt"
        [ -s "$out.times.txt" ] || { echo "profile: no kernel was in ${range:-the timed part}" >&2; exit 1; }
        kernel=$(head -n "$hottest" "$out.times.txt" | cut -f 4 | pattern)
    fi
    # Hot ones take turns within a block, so that the first launches are of all of them.
    select=(--kernel-name "regex:^(${kernel:-HOTTEST})" --launch-count $((8 * hottest)))
fi
run "$out.csv" "${measure[@]}" "${select[@]}" "${what[@]}" "${bench[@]}"
[ -z "$print" ] || exit 0
[ -z "$hottest" ] || { printf 'share\tms\tcalls\tkernel\n'; head -n "$hottest" "$out.times.txt"; }
[ -n "$full" ] || [ "$(column $duration "$out.csv" | wc -l)" -gt 0 ] || { echo "profile: no kernel was measured" >&2; exit 1; }
echo "profile: $out.$([ -n "$full" ] && echo ncu-rep || echo csv)"

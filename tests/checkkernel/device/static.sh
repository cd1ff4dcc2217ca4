#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The machine code of the CUDA kernels, as the assembler leaves it: registers, shared memory, spills and occupancy against
# the budgets in the sources, instructions against their claims, the table in docs/kernels.md, and kernels planted to be
# caught. Run by tests/run.sh in `test` mode as one shell test, or by hand; prints `ok - NAME`, `not ok - NAME`,
# `skip - NAME # REASON`.
set -u
cd "$(dirname "$0")/../../.." || exit 1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
all=$tmp/all planted=$tmp/planted
mkdir "$all" "$planted"
mapfile -t files < <(grep -l __global__ kernels/cuda/*.cu)

nvcc=$(scripts/nvcc.sh 2>"$tmp/why") || { echo "skip - machine code of CUDA kernels # $(cat "$tmp/why")"; exit 0; }
for tool in "${PYTHON:-python3}" "${CXX:-g++}" c++filt; do
    command -v "$tool" >/dev/null 2>&1 || { echo "skip - machine code of CUDA kernels # $tool is missing"; exit 0; }
done
export PYTHONDONTWRITEBYTECODE=1

# outcome NAME STATUS: of a command whose output is in $tmp/out; its last line is the result
outcome() {
    case $2 in
    0) printf 'ok - %s: %s\n' "$1" "$(tail -n 1 "$tmp/out")" ;;
    77) printf 'skip - %s # %s\n' "$1" "$(tail -n 1 "$tmp/out")" ;;
    *)
        printf 'not ok - %s\n' "$1"
        tail -n 20 "$tmp/out" | sed 's/^/#   /'
        ;;
    esac
}

# caught NAME REGEX COMMAND...: it fails, and prints this
caught() {
    if "${@:3}" >"$tmp/out" 2>&1; then
        printf 'not ok - %s: not caught\n' "$1"
    elif grep -Eq -e "$2" "$tmp/out"; then
        printf 'ok - %s: caught\n' "$1"
    else
        printf 'not ok - %s: not caught as such\n' "$1"
        tail -n 5 "$tmp/out" | sed 's/^/#   /'
    fi
}

report() { scripts/ptxas_report.sh --from "$planted" "$planted/$1.cu"; }

# Two kernels, for both of which `least` is enough; their head changes without them being assembled anew.
head_is() { # LINES
    printf '%s\n' "$@" '
template <int N> static __global__ void __launch_bounds__(256) plain_kernel(float *x)
{
    __shared__ float s[64];
    s[threadIdx.x % 64] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = s[63 - threadIdx.x % 64] * N;
}
static __global__ void __launch_bounds__(256) empty_kernel() {}
void launch(float *x)
{
    plain_kernel<2><<<1, 256>>>(x);
    empty_kernel<<<1, 256>>>();
}' >"$planted/plain.cu"
}
least='at most 16 registers, 256 bytes of shared memory, at least 6 blocks'

budget_is() { # NAME REGEX BUDGET
    head_is "// Budget: $3."
    caught "$1" "$2" report plain
}

planted_budgets() {
    head_is "// Budget: $least. And so on."
    outcome "a budget that is kept" "$(report plain >"$tmp/out" 2>&1; echo $?)"
    head_is "// Formula: none"
    caught "no budget" 'plain.cu: has kernels but no budget' report plain
    budget_is "a budget without blocks" 'lacks registers, shared memory or blocks' 'at most 16 registers, no shared memory'
    budget_is "too many registers" 'plain_kernel<2> on sm_80: [0-9]+ registers, the budget is 4$' "${least/16/4}"
    budget_is "too much static shared memory" 'sm_120: 256 bytes of static shared memory, the budget is 255$' "${least/256/255}"
    budget_is "dynamic shared memory leaves too few blocks" 'sm_120: 1 blocks, the budget is at least 6$' \
        "$least, 52000 bytes of dynamic shared memory"
    budget_is "dynamic shared memory that no block can have" 'sm_120: 0 blocks, the budget is at least 1$' \
        "at most 16 registers, 101888 bytes of dynamic shared memory, 256 bytes of shared memory, at least 1 blocks"
    budget_is "too few blocks" 'sm_80: 8 blocks, the budget is at least 9$' "${least/least 6/least 9} (6 on 120)"
    budget_is "too few blocks on one architecture" 'sm_120: 6 blocks, the budget is at least 7$' "$least (5 on 80, 7 on 86 and 120)"
    budget_is "an architecture that there is not" "'5 on 81' in a budget does not say" "$least (5 on 81)"
    budget_is "a kernel without a budget" 'empty_kernel: no budget is for it' "plain_kernel<2>: $least"
    budget_is "a budget without a kernel" 'the budget of plain_kernel<3> is for no kernel' "$least; plain_kernel<3>: $least"
}

planted_kernels() {
    cat >"$planted/local.cu" <<'CU'
// Budget: at most 64 registers, no shared memory, at least 1 blocks.
// Instructions: STG.E.
static __global__ void __launch_bounds__(1024) spill_kernel(float *x)
{
    float v[96];
#pragma unroll
    for (int i = 0; i < 96; i++) v[i] = x[i * 1024 + threadIdx.x];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 96; i++) x[i * 1024 + threadIdx.x] = v[95 - i];
}
static __global__ void __launch_bounds__(32) indexed_kernel(float *x, int n)
{
    int counts[16] = {};
    for (int i = 0; i < n; i++) counts[(int)x[i] & 15]++;
    x[threadIdx.x] = counts[threadIdx.x & 15];
}
void launch(float *x)
{
    spill_kernel<<<1, 1024>>>(x);
    indexed_kernel<<<1, 32>>>(x, 1);
}
CU
    printf '%s\n' "// Budget: $least." 'static __global__ void unbounded_kernel(float *x) { x[threadIdx.x] = 0; }' \
        'void launch(float *x) { unbounded_kernel<<<1, 32>>>(x); }' >"$planted/unbounded.cu"
    cat >"$planted/copy.cu" <<'CU'
// Instructions: STG.E.
static __global__ void __launch_bounds__(32) copy_kernel(const float *from, float *to)
{
    __shared__ float s[32];
    const unsigned at = (unsigned)__cvta_generic_to_shared(s + threadIdx.x);
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(at), "l"(from + threadIdx.x) : "memory");
    asm volatile("cp.async.wait_all;" ::: "memory");
    to[threadIdx.x] = s[threadIdx.x];
}
void launch(float *x) { copy_kernel<<<1, 32>>>(x, x); }
CU
    head_is ''
    ARCHS=80,120 scripts/cuda_assemble.sh "$planted" "$planted"/*.cu >"$tmp/out" 2>&1 || { outcome "planted kernels" 1; return 1; }
    caught "spills" 'spill_kernel on sm_80: [0-9]+ bytes of stack and spills' report local
    caught "an array in local memory" 'indexed_kernel on sm_120: [0-9]+ bytes of stack and spills' report local
    caught "no launch bounds" 'unbounded_kernel: no launch bounds' report unbounded
}

sass() { scripts/sass_check.sh --from "$planted" "$planted/$1.cu"; }

planted_claims() {
    scripts/nvdisasm.sh >/dev/null 2>"$tmp/why" || { echo "skip - planted claims # $(cat "$tmp/why")"; return; }
    head_is '// Instructions: STG.E.'
    caught "a claim that holds for one kernel only" 'sass: plain.cu: empty_kernel on sm_80: STG.E is claimed and not there$' sass plain
    head_is '// Instructions: plain_kernel<2>: STG.E.128, LDS.'
    caught "a vector store that is none" 'plain_kernel<2> on sm_120: STG.E.128 is claimed and not there$' sass plain
    head_is '// Instructions: plain_kernel<3>: STG.E.'
    caught "a claim without a kernel" 'the claim of plain_kernel<3> is for no kernel' sass plain
    head_is '// Instructions: plain_kernel<2>: STG.E, LDS.'
    outcome "a claim that holds" "$(sass plain >"$tmp/out" 2>&1; echo $?)"
    caught "loads from local memory" 'indexed_kernel on sm_80: LDL[.0-9A-Z]*: local memory' sass local
    caught "a copy that is not claimed" 'copy_kernel on sm_120: LDGSTS[.0-9A-Z]* is there and not claimed' sass copy
    sed -i 1d "$planted/copy.cu"
    caught "a file without claims" 'copy.cu: has tensor-core instructions .* no field Instructions' sass copy
}

# Blocks as the budgets count them, and as CUDA's own header does.
occupancy() {
    "${CXX:-g++}" -std=c++17 -O1 -w -isystem "${nvcc%/bin/nvcc}/include" -o "$tmp/occupancy" \
        tests/checkkernel/device/occupancy.cpp && "$tmp/occupancy" >"$tmp/blocks" &&
        PYTHONPATH=scripts/cubin "${PYTHON:-python3}" -c '
import sys, occupancy
count = 0
for line in sys.stdin:
    arch, threads, registers, shared, want = line.split()
    have = occupancy.blocks(arch, int(threads), int(registers), int(shared))
    if have != int(want): sys.exit(f"{have} where it is {line}")
    count += 1
print(f"{count} times the same")
sys.exit(count == 0)' <"$tmp/blocks"
}

occupancy >"$tmp/out" 2>&1
outcome "blocks as in cuda_occupancy.h" $?
planted_kernels && planted_budgets && planted_claims
scripts/cuda_assemble.sh "$all" "${files[@]}" >"$tmp/out" 2>&1
status=$?
echo "${#files[@]} files" >>"$tmp/out"
outcome "kernels are assembled" $status
[ $status = 0 ] || exit 0
scripts/ptxas_report.sh --from "$all" --check-doc >"$tmp/out" 2>&1
outcome "budgets and docs/kernels.md" $?
scripts/sass_check.sh --from "$all" >"$tmp/out" 2>&1
outcome "instructions" $?

/* SPDX-License-Identifier: MIT
 * The list of implementations, made from the enumeration of instruction sets. */
#include "tests/checkkernel/impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/ref/ref.h"
#ifdef CK_DEVICE
#include "tests/checkkernel/device/device.h"
#endif

static size_t ref_packed_bytes(const ck_impl *impl, const dd_weight_desc *desc)
{
    (void)impl;
    return dd_ref_packed_bytes(desc);
}

static dd_status ref_pack(const ck_impl *impl, const dd_weight_desc *desc, void *storage, dd_packed **out)
{
    (void)impl;
    return dd_ref_pack(desc, storage, out);
}

static size_t ref_scratch_bytes(const ck_impl *impl, int32_t tokens, int32_t head_dim, int32_t router_hidden)
{
    (void)impl;
    (void)tokens;
    (void)head_dim;
    (void)router_hidden;
    return 0;
}

static size_t cpu_packed_bytes(const ck_impl *impl, const dd_weight_desc *desc)
{
    (void)impl;
    return dd_cpu_packed_bytes(desc);
}

static dd_status cpu_pack(const ck_impl *impl, const dd_weight_desc *desc, void *storage, dd_packed **out)
{
    (void)impl;
    return dd_cpu_pack(desc, storage, out);
}

static size_t cpu_scratch_bytes(const ck_impl *impl, int32_t tokens, int32_t head_dim, int32_t router_hidden)
{
    (void)impl;
    return dd_cpu_scratch_bytes(tokens, head_dim, router_hidden);
}

/* DYDIT_ISA=isa DYDIT_ISA_TRUST=1 takes a path that CPUID hides, as in the program. */
static bool trusted(dd_cpu_isa isa)
{
    const char *name = getenv("DYDIT_ISA"), *trust = getenv("DYDIT_ISA_TRUST");
    return name && strcmp(name, dd_cpu_isa_name(isa)) == 0 && trust && strcmp(trust, "1") == 0 && dd_cpu_may_have(isa);
}

static ck_impl cpu_impl(dd_cpu_isa isa)
{
    ck_impl i = {.isa = (int)isa, .ops = dd_cpu_ops(isa)};
    snprintf(i.name, sizeof i.name, "cpu_%s", dd_cpu_isa_name(isa));
    i.emulated = dd_cpu_emulated(isa);
    if (i.ops == NULL) i.missing = "not in this build";
    else if (!dd_cpu_has(isa) && !trusted(isa)) i.missing = "this CPU lacks it";
    i.bf16 = dd_cpu_has_bf16(isa) ? DD_FMT_BF16_BLOCKS : DD_FMT_F32;
    i.packed_bytes = cpu_packed_bytes;
    i.pack = cpu_pack;
    i.scratch_bytes = cpu_scratch_bytes;
    return i;
}

const ck_impl *ck_impls(int *n)
{
    static ck_impl list[CK_MAX_IMPLS];
    static int count;
    if (count == 0) {
        list[count++] = (ck_impl){.name = "ref",
                                  .ops = &dd_ref_ops,
                                  .all_formats = true,
                                  .bf16 = DD_FMT_BF16,
                                  .isa = -1,
                                  .packed_bytes = ref_packed_bytes,
                                  .pack = ref_pack,
                                  .scratch_bytes = ref_scratch_bytes};
        for (int isa = 0; isa < DD_ISA_COUNT; isa++) list[count++] = cpu_impl((dd_cpu_isa)isa);
#ifdef CK_DEVICE
        list[count++] = ck_device_impl();
        list[count++] = ck_device_wgmma_impl();
        list[count++] = ck_device_lt_impl();
        list[count++] = ck_device_dnn_impl();
#endif
    }
    *n = count;
    return list;
}

bool ck_impl_reads(const ck_impl *impl, dd_format input)
{
    if (input == DD_FMT_F32 || impl->all_formats) return true;
    return input == impl->bf16 || (input == DD_FMT_F16 && impl->f16) || (input == DD_FMT_TF32 && impl->tf32);
}

bool ck_impl_writes_rows(const ck_impl *impl, dd_format input, dd_format rows)
{
    if (impl->all_formats || rows == DD_FMT_F32) return true;
    if (rows == DD_FMT_F16 || rows == DD_FMT_TF32) return input == rows && ck_impl_reads(impl, rows);
    if (dd_format_dtype(input) != DD_BF16) return false;
    return impl->bf16 != DD_FMT_F32 && (rows == DD_FMT_BF16 || rows == impl->bf16);
}

dd_status ck_call(const dd_ops *ops, dd_op_id op, const dd_exec *exec, const dd_op_args *args)
{
    switch (op) {
#define DD_OP(name)    \
    case DD_OP_##name: \
        return ops->name ? ops->name(exec, &args->name) : DD_ERR_UNSUPPORTED;
#include "kernels/ops.def"
#undef DD_OP
    case DD_OP_COUNT: break;
    }
    return DD_ERR_INTERNAL;
}

const char *ck_op_name(dd_op_id op)
{
    static const char *const names[] = {
#define DD_OP(name) #name,
#include "kernels/ops.def"
#undef DD_OP
    };
    return (unsigned)op < DD_OP_COUNT ? names[op] : "?";
}

const char *ck_status_name(dd_status st)
{
    switch (st) {
#define NAME(name, value, text) \
    case DD_##name: return #name;
        DD_STATUS_LIST(NAME)
#undef NAME
    }
    return "?";
}

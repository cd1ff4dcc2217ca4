/* SPDX-License-Identifier: MIT
 * What can be tested: the reference and every instruction set of the CPU backend. A further backend is a further entry
 * of the list. */
#ifndef DD_TESTS_CHECKKERNEL_IMPL_H
#define DD_TESTS_CHECKKERNEL_IMPL_H

#include <stdbool.h>

#include "kernels/ops.h"

typedef struct ck_impl ck_impl;
struct ck_case;
struct ck_impl {
    char name[32]; /* "ref", "cpu_avx2": the backend, then the path */
    const dd_ops *ops;
    const char *missing; /* why it cannot run here, or NULL */
    bool emulated;       /* statements in place of its instructions (CONFIG=softisa) */
    bool partial;        /* takes some cases and leaves the others to another implementation, with DD_ERR_UNSUPPORTED */
    bool order_by_shape; /* the order of a sum may depend on all sizes: parts have the bits of the whole in no case */
    bool all_formats;    /* every format that ops.h allows; else float32, and bf16 as below */
    dd_format bf16;      /* format of GEMM inputs in bf16; DD_FMT_F32: it has none */
    bool f16, tf32;      /* takes DD_FMT_F16, DD_FMT_TF32 */
    int isa;             /* dd_cpu_isa, or -1 */
    size_t (*packed_bytes)(const ck_impl *impl, const dd_weight_desc *desc);
    dd_status (*pack)(const ck_impl *impl, const dd_weight_desc *desc, void *storage, dd_packed **out);
    size_t (*scratch_bytes)(const ck_impl *impl, int32_t tokens, int32_t head_dim, int32_t router_hidden);
    /* Those of a device: how to run an op on a case whose data lie in host memory, instead of by the table; what to do
     * when the case is over. Threads of the host mean nothing to it. */
    dd_status (*call)(struct ck_case *c, const dd_exec *exec, const dd_op_args *args);
    void (*release)(void);
};

#define CK_MAX_IMPLS 16

/* The list, in a fixed order; *n entries. The reference is the first. */
const ck_impl *ck_impls(int *n);

/* Does it take a GEMM input of this format, and does it write one? */
bool ck_impl_reads(const ck_impl *impl, dd_format input);
/* Does it write this format into a buffer that attention reads (rows), given the format of its inputs? */
bool ck_impl_writes_rows(const ck_impl *impl, dd_format input, dd_format rows);

dd_status ck_call(const dd_ops *ops, dd_op_id op, const dd_exec *exec, const dd_op_args *args);
const char *ck_op_name(dd_op_id op);
const char *ck_status_name(dd_status st);

#endif

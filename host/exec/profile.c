/* SPDX-License-Identifier: MIT
 * Timing of single ops. */
#define _POSIX_C_SOURCE 200809L
#include "host/exec/profile.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

const char *dd_kind_name(dd_op_kind kind)
{
    static const char *const names[DD_KIND_COUNT] = {
        [DD_KIND_COND] = "cond",   [DD_KIND_EMBED] = "embed",     [DD_KIND_ADALN] = "adaln",
        [DD_KIND_QKV] = "qkv",     [DD_KIND_PROJ] = "proj",       [DD_KIND_ROUTE] = "route",
        [DD_KIND_FC1] = "fc1",     [DD_KIND_FC2] = "fc2",         [DD_KIND_ADD] = "add",
        [DD_KIND_FINAL] = "final", [DD_KIND_GUIDE] = "guide",     [DD_KIND_SOLVE] = "solve",
        [DD_KIND_OTHER] = "other", [DD_KIND_AVERAGE] = "average", [DD_KIND_ATTENTION] = "attention",
    };
    return kind < DD_KIND_COUNT ? names[kind] : "?";
}

/* GEMMs are told apart by the last part of their label: "blocks.3.mlp.fc1". */
static dd_op_kind gemm_kind(const char *label)
{
    static const dd_op_kind kinds[] = {DD_KIND_QKV, DD_KIND_PROJ, DD_KIND_FC1, DD_KIND_FC2, DD_KIND_COND};
    const char *dot = strrchr(label, '.'), *part = dot ? dot + 1 : label;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(part, dd_kind_name(kinds[i])) == 0) return kinds[i];
    return DD_KIND_OTHER;
}

dd_op_kind dd_kind_of(const dd_op *op)
{
    const bool final = strncmp(op->label, "final.", 6) == 0 && strcmp(op->label, "final.cond") != 0;
    if (final) return DD_KIND_FINAL;
    switch (op->id) {
    case DD_OP_cond: return DD_KIND_COND;
    case DD_OP_patch_embed: return DD_KIND_EMBED;
    case DD_OP_adaln: return DD_KIND_ADALN;
    case DD_OP_gemm: return gemm_kind(op->label);
    case DD_OP_attention: return DD_KIND_ATTENTION;
    case DD_OP_gated_add: return DD_KIND_ADD;
    case DD_OP_depth_average: return DD_KIND_AVERAGE;
    case DD_OP_route: return DD_KIND_ROUTE;
    case DD_OP_guide: return DD_KIND_GUIDE;
    case DD_OP_solve: return DD_KIND_SOLVE;
    default: return DD_KIND_OTHER;
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

dd_status dd_profile_step(dd_profile *p, dd_session *s, int step, dd_err *err)
{
    dd_backend *be = dd_session_backend(s);
    dd_part part[DD_MAX_PARTS];
    const int n = dd_session_parts(s, step, part);
    DD_TRY(be->sync(be, err));
    for (int i = 0; i < n; i++)
        for (int k = 0; k < part[i].program->n_ops; k++) {
            const dd_program one = {.ops = part[i].program->ops + k, .n_ops = 1};
            const double t0 = now();
            DD_TRY(be->run(be, &one, part[i].step, err));
            DD_TRY(be->sync(be, err));
            p->seconds[dd_kind_of(one.ops)] += now() - t0;
        }
    return DD_OK;
}

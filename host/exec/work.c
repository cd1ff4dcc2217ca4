/* SPDX-License-Identifier: MIT
 * One function per op kind. Letters are those of kernels/ops.h. */
#include "host/exec/work.h"

#include "host/exec/backend.h"
#include "host/plan/cost.h"

#define F32 ((uint64_t)sizeof(float))
#define I32 ((uint64_t)sizeof(int32_t))

static uint64_t u(int64_t n) { return (uint64_t)n; }

static uint64_t bytes_of(dd_format f) { return dd_dtype_bytes(dd_format_dtype(f)); }

static dd_unit unit_of(dd_format f)
{
    return f == DD_FMT_F32 ? DD_UNIT_FP32 : f == DD_FMT_TF32 ? DD_UNIT_TF32 : DD_UNIT_TENSOR;
}

/* Elements of an axis that are in force. */
static uint64_t width(dd_slices s, const dd_work_at *at, int64_t whole)
{
    const int32_t *list = dd_slices_at(s, at->step);
    return list ? u(list[0]) * DD_CHUNK : u(whole);
}

/* Of `all` rows in images of s tokens those that an op works on. */
static uint64_t active(dd_row_list rows, const dd_work_at *at, int64_t all, int64_t s)
{
    return rows.count ? u(all / s * dd_cost_tokens(s, at->tokens)) : u(all);
}

/* Distinct vectors of a conditioning table that r rows read. */
static uint64_t vectors(const dd_work_at *at, int64_t r) { return u(r < at->labels ? r : at->labels); }

static const dd_weight_desc *weight_of(const dd_op *op, const dd_work_at *at)
{
    return &at->model->weights[op->weight].desc;
}

static dd_work cond(const dd_cond_args *a, const dd_work_at *at)
{
    const int32_t left = a->steps - at->step, steps = left < a->slots ? left : a->slots;
    const uint64_t n = u(steps) * u(a->n_cond), d = u(a->d);
    return (dd_work){.weights = u(a->n_cond) * d * F32, /* label embeddings */
                     .read = u(steps) * d * F32 + u(a->n_cond) * I32,
                     .written = n * d * bytes_of(a->c_format),
                     .launches = 1};
}

static dd_work patch_embed(const dd_patch_embed_args *a)
{
    const uint64_t side = u(a->size / a->p), s = side * side, k = u(a->c) * u(a->p) * u(a->p), d = u(a->d);
    return (dd_work){.macs = u(a->r) * s * k * d,
                     .weights = (d * k + d + s * d) * F32,
                     .read = u(a->b) * u(a->c) * u(a->size) * u(a->size) * F32,
                     .written = u(a->r) * s * d * F32,
                     .launches = 1};
}

static dd_work adaln(const dd_adaln_args *a, const dd_work_at *at)
{
    const uint64_t rows = active(a->rows, at, (int64_t)a->r * a->s, a->s), d = u(a->d);
    return (dd_work){.read = (rows * d + 2 * vectors(at, a->r) * d) * F32 + (a->rows.idx ? rows * I32 : 0),
                     .written = rows * d * bytes_of(a->y_format),
                     .launches = 1};
}

static dd_work depth_average(const dd_depth_average_args *a, const dd_work_at *at)
{
    const uint64_t tokens = u(a->r) * u(a->s) * u(a->d);
    dd_work out = {.read = u(a->n) * tokens * F32, .written = tokens * F32, .launches = 1};
    if (!a->norm.y) return out;
    out.read += 2 * vectors(at, a->r) * u(a->d) * F32;
    out.written += tokens * bytes_of(a->norm.y_format);
    return out;
}

static dd_work gated_add(const dd_gated_add_args *a, const dd_work_at *at)
{
    const uint64_t tokens = u(a->r) * u(a->s), d = u(a->d);
    dd_work out = {.read = tokens * d * F32, .written = tokens * d * F32, .launches = 1};
    for (int i = 0; i < a->n; i++) {
        const dd_branch *b = &a->branch[i];
        const uint64_t rows = active(b->rows, at, (int64_t)a->r * a->s, a->s);
        const uint64_t kept = rows * d * bytes_of(b->out_format);
        out.read += rows * d * bytes_of(b->f_format) + (b->rows.idx ? rows * I32 : 0) + (b->mask ? tokens : 0);
        if (b->gate >= 0) out.read += vectors(at, a->r) * d * F32;
        if (b->keep) out.written += kept;
        if (b->change) out.written += kept;
    }
    return out;
}

static dd_work gemm(const dd_op *op, const dd_work_at *at)
{
    const dd_gemm_args *a = &op->args.gemm;
    const dd_weight_desc *w = weight_of(op, at);
    const uint64_t m = active(a->rows, at, a->m, a->s), n = width(a->n, at, w->n), k = width(a->k, at, w->k);
    dd_work out = {.macs = m * n * k,
                   .weights = n * k * bytes_of(a->a_format) + (a->bias ? n * F32 : 0),
                   .read = m * k * bytes_of(a->a_format),
                   .written = m * n * bytes_of(a->c_format),
                   .launches = 1,
                   .unit = unit_of(a->a_format)};
    if (a->epilogue == DD_EPI_RESIDUAL)
        out.read += (m * n + vectors(at, a->m / a->s) * n) * F32 + (a->rows.idx ? m * I32 : 0);
    return out;
}

static dd_work attention(const dd_attention_args *a, const dd_work_at *at)
{
    const uint64_t e = u(a->e), heads = width(a->heads, at, 3 * (int64_t)a->h * a->e) / (3 * e);
    const uint64_t s = u(a->s), rows = u(a->r) * s;
    return (dd_work){.macs = rows * heads * 2 * s * e,
                     .read = rows * heads * 3 * e * bytes_of(a->qkv_format),
                     .written = rows * heads * e * bytes_of(a->out_format),
                     .launches = 1,
                     .unit = unit_of(a->qkv_format)};
}

static dd_work route(const dd_route_args *a, const dd_work_at *at)
{
    const uint64_t tokens = u(a->r) * u(a->s), d = u(a->d), j = u(a->j);
    const uint64_t kept = u(a->r) * u(dd_cost_tokens(a->s, at->tokens));
    dd_work out = {.macs = tokens * (d + 1) * j,
                   .weights = (j * d + 2 * j + 1) * F32,
                   .read = tokens * d * F32,
                   .written = tokens + kept * I32, /* mask, list */
                   .launches = 2,                  /* decide, then list in order */
                   .unit = a->split ? DD_UNIT_TF32_X3 : DD_UNIT_FP32};
    if (a->forced) out.macs = out.weights = 0, out.read = tokens, out.launches = 1;
    if (a->hits) out.read += tokens * I32, out.written += tokens * I32;
    return out;
}

static dd_work unpatchify(const dd_unpatchify_args *a)
{
    const uint64_t bytes = u(a->r) * u(a->co) * u(a->size) * u(a->size) * F32;
    return (dd_work){.read = bytes, .written = bytes, .launches = 1};
}

static dd_work guide(const dd_guide_args *a)
{
    const uint64_t bytes = 2 * u(a->b) * u(a->channels) * u(a->size) * u(a->size) * F32;
    return (dd_work){.read = bytes, .written = bytes, .launches = 1};
}

/* Arrays of latents that a multistep solver reads at a step. */
static uint64_t kept_read(const float *f)
{
    if (f[DD_COEF_CY] == 0) return f[DD_COEF_MX1] != 0;
    return f[DD_COEF_C2] != 0 ? 3 : 2;
}

static dd_work solve(const dd_solve_args *a, const dd_work_at *at)
{
    const uint64_t plane = u(a->b) * u(a->size) * u(a->size) * F32, latents = plane * u(a->c);
    const float *f = a->coef + (int64_t)at->step * DD_COEF_COUNT;
    const bool noisy = f[DD_COEF_SIGMA] != 0;
    /* only DDPM reads the variance */
    const uint64_t predicted = a->solver == DD_SOLVER_DDPM ? plane * u(a->co) : latents;
    dd_work out = {
        .read = latents + predicted + (noisy ? latents : 0), .written = latents + (a->x0 ? latents : 0), .launches = 1};
    if (!dd_solver_multistep(a->solver)) return out;
    out.read += kept_read(f) * latents;
    out.written += (a->solver == DD_SOLVER_UNIPC ? 3 : 1) * latents;
    return out;
}

static dd_work copy(const dd_copy_args *a) { return (dd_work){.read = a->bytes, .written = a->bytes, .launches = 1}; }

dd_status dd_op_work(dd_work *out, const dd_op *op, const dd_work_at *at, dd_err *err)
{
    switch (op->id) {
    case DD_OP_cond: *out = cond(&op->args.cond, at); return DD_OK;
    case DD_OP_patch_embed: *out = patch_embed(&op->args.patch_embed); return DD_OK;
    case DD_OP_adaln: *out = adaln(&op->args.adaln, at); return DD_OK;
    case DD_OP_depth_average: *out = depth_average(&op->args.depth_average, at); return DD_OK;
    case DD_OP_gemm: *out = gemm(op, at); return DD_OK;
    case DD_OP_gated_add: *out = gated_add(&op->args.gated_add, at); return DD_OK;
    case DD_OP_attention: *out = attention(&op->args.attention, at); return DD_OK;
    case DD_OP_route: *out = route(&op->args.route, at); return DD_OK;
    case DD_OP_unpatchify: *out = unpatchify(&op->args.unpatchify); return DD_OK;
    case DD_OP_guide: *out = guide(&op->args.guide); return DD_OK;
    case DD_OP_solve: *out = solve(&op->args.solve, at); return DD_OK;
    case DD_OP_copy: *out = copy(&op->args.copy); return DD_OK;
    default: break;
    }
    return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: nobody counts the work of op %s yet", op->label, dd_op_name(op->id));
}

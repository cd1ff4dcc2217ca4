/* SPDX-License-Identifier: MIT
 * Formula: x[r,s,:] = W patch(latents[r mod B], s) + bias + pos[s,:].
 * Layout: a patch is [C,p,p]; tokens row-major. Threads: one. Budget: none.
 * Preconditions: p divides size; W is [D, C*p*p]. Precision: double, one rounding. */
#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_pack.h"

static float embed(const dd_patch_embed_args *a, const float *image, int64_t token, int64_t n)
{
    const int64_t grid = a->size / a->p, y0 = token / grid * a->p, x0 = token % grid * a->p;
    const float *w = a->w->data + n * a->w->k;
    double acc = 0;
    for (int64_t c = 0; c < a->c; c++)
        for (int64_t y = 0; y < a->p; y++)
            for (int64_t x = 0; x < a->p; x++)
                acc += (double)image[(c * a->size + y0 + y) * a->size + x0 + x] * w[(c * a->p + y) * a->p + x];
    return (float)(acc + a->bias[n] + a->pos[token * a->d + n]);
}

dd_status dd_ref_patch_embed(const dd_exec *exec, const dd_patch_embed_args *args)
{
    if (!dd_exec_ok(exec) || args == NULL || !dd_ref_packed_ok(args->w)) return DD_ERR_ARG;
    if (args->latents == NULL || args->bias == NULL || args->pos == NULL || args->x == NULL) return DD_ERR_ARG;
    if (args->b <= 0 || args->r <= 0 || args->c <= 0 || args->p <= 0 || args->size <= 0 || args->size % args->p != 0)
        return DD_ERR_ARG;
    if (args->w->n != args->d || args->w->k != (int64_t)args->c * args->p * args->p) return DD_ERR_ARG;
    const int64_t grid = args->size / args->p, s = grid * grid, image = (int64_t)args->c * args->size * args->size;
    for (int64_t r = 0; r < args->r; r++)
        for (int64_t t = 0; t < s; t++)
            for (int64_t n = 0; n < args->d; n++)
                args->x[(r * s + t) * args->d + n] = embed(args, args->latents + r % args->b * image, t, n);
    return DD_OK;
}

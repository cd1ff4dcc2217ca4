/* SPDX-License-Identifier: MIT
 * Formula: y = (x - mean) / sqrt(variance + eps) * gamma + beta over the pixels and channels of a group, then
 * y * sigmoid(y) if asked. Layout: pixels [B,P,C], groups of neighbouring channels. Threads: one. Budget: none; the
 * variance is that of a second pass. Preconditions: groups divides c. Precision: double, y is rounded once. */
#include <math.h>

#include "kernels/ref/check_picture.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_format.h"

static void normalize(const dd_group_norm_args *g, int64_t b, int64_t group)
{
    const int64_t width = g->c / g->groups, first = group * width;
    const float *x = g->x + b * g->pixels * g->c;
    const double count = (double)g->pixels * (double)width;
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < g->pixels; i++)
        for (int64_t c = first; c < first + width; c++) mean += (double)x[i * g->c + c] / count;
    for (int64_t i = 0; i < g->pixels; i++)
        for (int64_t c = first; c < first + width; c++) {
            const double d = (double)x[i * g->c + c] - mean;
            variance += d * d / count;
        }
    const double inv = 1 / sqrt(variance + (double)g->eps);
    for (int64_t i = 0; i < g->pixels; i++)
        for (int64_t c = first; c < first + width; c++) {
            double y = ((double)x[i * g->c + c] - mean) * inv * (double)g->gamma[c] + (double)g->beta[c];
            if (g->silu) y /= 1 + exp(-y);
            dd_ref_store(g->y, g->y_format, g->c, b * g->pixels + i, c, y);
        }
}

dd_status dd_ref_group_norm(const dd_exec *exec, const dd_group_norm_args *args)
{
    const dd_group_norm_args *g = args;
    if (!dd_exec_ok(exec) || g == NULL || g->x == NULL || g->y == NULL || g->gamma == NULL || g->beta == NULL)
        return DD_ERR_ARG;
    if (!dd_picture_ok(g->b, g->pixels, 1, g->c) || g->groups <= 0 || g->c % g->groups != 0) return DD_ERR_ARG;
    if (!dd_pixel_format_ok(g->y_format) || !(g->eps >= 0) || g->work == NULL) return DD_ERR_ARG;
    for (int64_t b = 0; b < g->b; b++)
        for (int64_t group = 0; group < g->groups; group++) normalize(g, b, group);
    return DD_OK;
}

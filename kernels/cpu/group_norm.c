/* SPDX-License-Identifier: MIT
 * Front of GroupNorm: statistics of parts, their union, then the values. The first and the last are group_norm_vec.h. */
#include <math.h>

#include "kernels/cpu/group_norm.h"

/* One group of a picture: its parts become mean, the rest of the mean and 1 / sqrt(variance + eps), in place of the first.
 * Parts are joined in order, by the formula of Chan, Golub and LeVeque (Updating formulae and a pairwise algorithm for
 * computing sample variances), in double. */
static void join_parts(void *arg, int item, int thread)
{
    (void)thread;
    const dd_group_norm_job *j = arg;
    const dd_group_norm_args *g = j->g;
    float *part = dd_group_norm_part(g, item / g->groups, item % g->groups, 0);
    const double width = g->c / g->groups;
    double n = 0, mean = 0, square = 0;
    for (int i = 0; i < j->parts; i++) {
        const float *p = part + 3 * (ptrdiff_t)i;
        const double m = width * (double)dd_group_norm_pixels(j, i), d = (double)p[0] + (double)p[1] - mean;
        square += (double)p[2] + d * d * (n * m / (n + m));
        mean += d * (m / (n + m));
        n += m;
    }
    part[0] = (float)mean;
    part[1] = (float)(mean - (double)part[0]);
    part[2] = (float)(1 / sqrt(square / n + (double)g->eps));
}

dd_status dd_cpu_group_norm_run(const dd_exec *exec, const dd_group_norm_args *args, dd_format format,
                                dd_task *statistics, dd_task *values)
{
    const dd_group_norm_args *g = args;
    if (!dd_cpu_exec_ok(exec, DD_SCRATCH_MIN) || g == NULL || g->x == NULL || g->y == NULL) return DD_ERR_ARG;
    if (g->gamma == NULL || g->beta == NULL || g->work == NULL || g->y_format != format) return DD_ERR_ARG;
    if (!dd_picture_ok(g->b, g->pixels, 1, g->c) || g->groups <= 0 || g->c % g->groups != 0) return DD_ERR_ARG;
    if (!(g->eps >= 0)) return DD_ERR_ARG;
    dd_group_norm_job j = {.g = g, .scratch = exec->scratch};
    j.each = (int32_t)(((int64_t)g->pixels + DD_GROUP_NORM_PARTS - 1) / DD_GROUP_NORM_PARTS);
    if (j.each < DD_NORM_PIXELS) j.each = DD_NORM_PIXELS;
    j.parts = (int32_t)(((int64_t)g->pixels + j.each - 1) / j.each);
    dd_status st = dd_cpu_for(exec, (int64_t)g->b * j.parts, statistics, &j);
    if (st == DD_OK) st = dd_cpu_for(exec, (int64_t)g->b * g->groups, join_parts, &j);
    if (st == DD_OK) st = dd_cpu_for(exec, (int64_t)g->b * j.parts, values, &j);
    return st;
}

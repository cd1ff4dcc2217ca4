/* SPDX-License-Identifier: MIT
 * GroupNorm: a picture is cut into parts of its pixels, alike for any number of threads. */
#ifndef DD_KERNELS_CPU_GROUP_NORM_H
#define DD_KERNELS_CPU_GROUP_NORM_H

#include "kernels/cpu/picture.h"

#define DD_NORM_PIXELS 64     /* least pixels of a part */
#define DD_NORM_CHANNELS 1024 /* most channels at a time; of them there are three vectors in scratch */

_Static_assert(3 * DD_NORM_CHANNELS * sizeof(float) <= DD_SCRATCH_MIN, "scratch of GroupNorm");

typedef struct dd_group_norm_job {
    const dd_group_norm_args *g;
    void **scratch;
    int32_t parts, each; /* of a picture; pixels of one */
} dd_group_norm_job;

/* Where the sums of a part are: mean, the rest of the mean, sum of (x - mean)^2. */
static inline float *dd_group_norm_part(const dd_group_norm_args *g, int64_t b, int64_t group, int64_t part)
{
    return g->work + ((b * g->groups + group) * DD_GROUP_NORM_PARTS + part) * 3;
}

static inline int64_t dd_group_norm_pixels(const dd_group_norm_job *j, int64_t part)
{
    const int64_t left = j->g->pixels - part * j->each;
    return left < j->each ? left : j->each;
}

dd_status dd_cpu_group_norm_run(const dd_exec *exec, const dd_group_norm_args *args, dd_format format,
                                dd_task *statistics, dd_task *values);

#endif

/* SPDX-License-Identifier: MIT
 * Formula: element e of a draw by T threads: turn = e/T of thread e%T; words 2h, 2h+1 of its Philox block turn/4 after
 * the offset, h = turn%4 / 2; sqrt(-2 ln u) sin v where turn is even, cos v where it is odd.
 * Layout: [B,count], a stream each. Threads: one. Budget: none.
 * Preconditions: offsets and stride are multiples of 4, first is not negative.
 * Precision: u and v are the float32 numbers of kernels/philox.h; from there double, one rounding. */
#include <math.h>

#include "kernels/philox.h"
#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"

static double normal(uint64_t seed, uint64_t offset, uint32_t threads, uint64_t e)
{
    const uint64_t turn = e / threads;
    uint32_t word[4];
    dd_philox4x32(e % threads, offset / 4 + turn / 4, seed, word);
    const uint32_t *pair = word + turn % 4 / 2 * 2;
    const double v = (double)dd_philox_v(pair[1]), s = sqrt(-2 * log((double)dd_philox_u(pair[0])));
    return turn % 2 == 0 ? s * sin(v) : s * cos(v);
}

dd_status dd_ref_noise(const dd_exec *exec, const dd_noise_args *args)
{
    if (!dd_exec_ok(exec) || !dd_noise_ok(args)) return DD_ERR_ARG;
    for (int64_t b = 0; b < args->b; b++) {
        const dd_noise_stream *s = &args->stream[b];
        const uint64_t offset = s->offset + (uint64_t)*exec->step * args->stride;
        for (int64_t i = 0; i < args->count; i++)
            args->dst[b * args->count + i] = (float)normal(s->seed, offset, args->threads, (uint64_t)(s->first + i));
    }
    return DD_OK;
}

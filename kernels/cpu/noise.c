/* SPDX-License-Identifier: MIT
 * Formula: element e of a draw by T threads: turn = e/T of thread e%T; words 2h, 2h+1 of its Philox block turn/4 after
 * the offset, h = turn%4 / 2; sqrt(-2 ln u) sin v where turn is even, cos v where it is odd.
 * Layout: [B,count], a stream each. Threads: pieces of PIECE elements. Budget: 512 bytes of stack.
 * Preconditions: offsets and stride are multiples of 4, first is not negative.
 * Precision: float32, each operation rounded; logarithm, sine and cosine of the C library. */
#include <math.h>

#include "kernels/cpu/work.h"
#include "kernels/philox.h"

#define PIECE 1024
#define LANES 64 /* elements whose words are made together, so that the rounds are vectors */

typedef struct job {
    const dd_noise_args *a;
    uint64_t step;
    int64_t pieces; /* of an image */
} job;

/* n elements of successive threads that are at the same turn. */
static void draw_lanes(float *dst, int n, uint64_t seed, uint64_t block, uint32_t thread, int word)
{
    uint32_t x[LANES], y[LANES];
    for (int i = 0; i < n; i++) {
        uint32_t w[4];
        dd_philox4x32(thread + (uint32_t)i, block, seed, w);
        x[i] = word < 2 ? w[0] : w[2];
        y[i] = word < 2 ? w[1] : w[3];
    }
    for (int i = 0; i < n; i++) {
        const float v = dd_philox_v(y[i]), s = sqrtf(-2.0f * logf(dd_philox_u(x[i])));
        dst[i] = s * (word % 2 == 0 ? sinf(v) : cosf(v));
    }
}

static void draw_piece(void *arg, int item, int thread)
{
    (void)thread;
    const job *j = arg;
    const dd_noise_args *a = j->a;
    const int64_t image = item / j->pieces, from = item % j->pieces * PIECE;
    const int64_t left = a->count - from, n = left < PIECE ? left : PIECE;
    const dd_noise_stream *s = &a->stream[image];
    const uint64_t block = (s->offset + j->step * a->stride) / 4;
    float *dst = a->dst + image * a->count + from;
    for (int64_t i = 0, run; i < n; i += run) {
        const uint64_t e = (uint64_t)(s->first + from + i), turn = e / a->threads;
        const uint32_t at = (uint32_t)(e % a->threads), same = a->threads - at; /* elements up to the next turn */
        run = n - i < LANES ? n - i : LANES;
        if (run > same) run = same;
        draw_lanes(dst + i, (int)run, s->seed, block + turn / 4, at, (int)(turn % 4));
    }
}

dd_status dd_cpu_noise(const dd_exec *exec, const dd_noise_args *args)
{
    if (!dd_cpu_exec_ok(exec, 0) || !dd_noise_ok(args)) return DD_ERR_ARG;
    job j = {.a = args, .step = (uint64_t)*exec->step, .pieces = (args->count - 1) / PIECE + 1};
    if (j.pieces > INT32_MAX / args->b) return DD_ERR_ARG;
    return dd_cpu_for(exec, j.pieces * args->b, draw_piece, &j);
}

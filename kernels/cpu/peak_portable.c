/* SPDX-License-Identifier: MIT
 * Formula: c = c a + b for 12 vectors of 4 floats, a multiplication and an addition each, as the portable kernels do
 * it. Layout: none. Threads: none. Budget: 12 accumulators + a + b of the 16 registers of SSE2; the compiler keeps the
 * local variables there (so say the listings of gcc 12 and clang 14). Preconditions: none. Precision: |a| < 1, so that
 * the values stay near 1. */
#include "kernels/cpu/peak.h"

typedef float vf __attribute__((vector_size(16)));

static vf splat(volatile const float *p) { return (vf){*p, *p, *p, *p}; }

static void run(int64_t rounds)
{
    volatile const float v[14] = {0.75f, 0.25f}; /* read one by one: equal accumulators would become a single one */
    volatile float sink;
    const vf a = splat(v), b = splat(v + 1);
    vf c0 = splat(v + 2), c1 = splat(v + 3), c2 = splat(v + 4), c3 = splat(v + 5), c4 = splat(v + 6), c5 = splat(v + 7);
    vf c6 = splat(v + 8), c7 = splat(v + 9), c8 = splat(v + 10), c9 = splat(v + 11), c10 = splat(v + 12);
    vf c11 = splat(v + 13);
    for (int64_t i = 0; i < rounds; i++) {
        c0 = c0 * a + b, c1 = c1 * a + b, c2 = c2 * a + b, c3 = c3 * a + b;
        c4 = c4 * a + b, c5 = c5 * a + b, c6 = c6 * a + b, c7 = c7 * a + b;
        c8 = c8 * a + b, c9 = c9 * a + b, c10 = c10 * a + b, c11 = c11 * a + b;
    }
    const vf s = ((c0 + c1) + (c2 + c3)) + ((c4 + c5) + (c6 + c7)) + ((c8 + c9) + (c10 + c11));
    sink = s[0] + s[1] + s[2] + s[3];
    (void)sink;
}

const dd_cpu_probe dd_cpu_probe_portable = {run, 12 * 4};

/* SPDX-License-Identifier: MIT
 * Random numbers. What is right: dd_ref_noise; integers, u and v are exact, or they are far off.
 * Bound, u = 2^-24, x = s sin v: logf is off by at most one unit in the last place (2 u relative; glibc and CUDA document
 * it), of which the root leaves half; root and product round once: 3 u |x|. The sine is off by up to 2^-20.5: the PTX
 * manual's figure for sin.approx and cos.approx within [-2 pi, 2 pi], which is __sincosf; s 2^-20.5, s <= 6.77 since u >=
 * 2^-33. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/philox.h"
#include "tests/checkkernel/check.h"

#define SINE_ERROR 0x1.6a09e7p-21 /* 2^-20.5 */

typedef struct params {
    int b, count;
    uint32_t threads;
    uint64_t seed, offset, stride;
    int64_t first;
    bool one_draw; /* images are parts of one draw, of one seed; else each begins its own */
} params;

#define WIDE UINT32_C(0xffffff00) /* a launch of 2^24 - 1 blocks */

static void list(ck_list *l)
{
    static const params cases[] = {
        {1, 1, 256, 0, 0, 0, 0, false},
        {2, 64, 256, 42, 0, 4, 0, false},
        {3, 1000, 256, 7, 4, 4, 0, false},    /* turns 0 to 3 */
        {2, 2500, 256, 7, 16, 12, 0, false},  /* three blocks of a thread */
        {3, 777, 512, 99, 0, 8, 0, true},     /* borders of images and turns in different places */
        {1, 4096, 221184, 0, 4, 4, 0, false}, /* latents of DiT on an A100 */
        {4, 4096, 4096, 3, 32, 8, 0, true},   /* image i is turn i */
        {2, 300, 1, 5, 0, 152, 0, true},      /* one thread draws all */
        {2, 129, WIDE, 5, 0, 4, 0, true},
        {2, 300, WIDE, 5, 0, 4, WIDE - 200, true},                     /* across a turn */
        {2, 300, 256, UINT64_C(0x123456789abcdef0), 0, 4, 0, false},   /* both words of the key */
        {2, 700, 256, UINT64_MAX, UINT64_C(0x3fffffff8), 4, 0, false}, /* the counter's low word overflows */
        {1, 3000, 256, 5, UINT64_C(0x3fffffff8), 0, 0, false},         /* the same within a draw */
        {2, 300, 256, 1, UINT64_C(0xfffffffffffffff0), 0, 0, false},   /* its last values */
        {2, 300, 4096, 1, 0, 4, INT64_C(1) << 40, true},               /* far into a draw */
        {2, 1, 256, 483601998, 0, 0, 0, false}, /* second image: x = 6, where half a part counts */
        {2, 1, 256, 16390492, 0, 0, 0, false},  /* second image: x = 0xffffffb3, u = 1 */
    };
    for (int i = 0; i < CK_COUNT(cases); i++) {
        const params *p = &cases[i];
        ck_list_add(l, p, sizeof *p, "b%d,n%d,T%u,seed%llu,offset%llu+%llu,first%lld,%s", p->b, p->count, p->threads,
                    (unsigned long long)p->seed, (unsigned long long)p->offset, (unsigned long long)p->stride,
                    (long long)p->first, p->one_draw ? "one draw" : "own draws");
    }
}

static float naive_of(const params *p, const dd_noise_stream *s, uint64_t offset, int64_t i, double *radius)
{
    const uint64_t e = (uint64_t)(s->first + i), turn = e / p->threads;
    uint32_t w[4];
    dd_philox4x32(e % p->threads, offset / 4 + turn / 4, s->seed, w);
    const float v = dd_philox_v(w[turn % 4 < 2 ? 1 : 3]), r = sqrtf(-2 * logf(dd_philox_u(w[turn % 4 < 2 ? 0 : 2])));
    *radius = (double)r;
    return r * (turn % 2 ? cosf(v) : sinf(v));
}

static void build(ck_case *c)
{
    const params *p = c->params;
    dd_noise_args *g = &c->args.noise;
    const int64_t n = p->count;
    dd_noise_stream *s = ck_in(c, "stream", DD_I32, (size_t)p->b * (sizeof *s / sizeof(int32_t)))->p;
    for (int b = 0; b < p->b; b++) {
        const dd_noise_stream one = {p->one_draw ? p->seed : p->seed + (uint64_t)b, p->offset,
                                     p->first + (p->one_draw ? b * n : 0)};
        memcpy(s + b, &one, sizeof one);
    }
    ck_tensor *out = ck_out(c, "dst", DD_F32, (size_t)(p->b * n));
    float *want = ck_alloc(out->bytes);
    *g = (dd_noise_args){.dst = want, .stream = s, .stride = p->stride, .count = n, .threads = p->threads, .b = p->b};
    ck_reference(c, &c->args);
    g->dst = out->p;
    for (int64_t i = 0; i < p->b * n; i++) {
        double radius;
        const float naive = naive_of(p, s + i / n, p->offset + (uint64_t)c->step * p->stride, i % n, &radius);
        ck_expect_near(out, i, (double)want[i], 3.01 * CK_EPS * fabs((double)want[i]) + SINE_ERROR * radius, naive);
    }
    free(want);
}

/* The last image alone. */
static bool variant(ck_case *c, int i)
{
    const params *p = c->params;
    dd_noise_args *g = &c->variant_args.noise;
    const int64_t first = (int64_t)(p->b - 1) * p->count;
    if (i > 0 || p->b < 2) return false;
    for (int64_t j = 0; j < p->b * p->count; j++) c->variant_map[j] = j < first ? CK_UNTOUCHED : j;
    c->variant_args = c->args;
    g->dst += first;
    g->stream += p->b - 1;
    g->b = 1;
    return true;
}

const ck_op ck_op_noise = {.id = DD_OP_noise, .list = list, .build = build, .variant = variant};

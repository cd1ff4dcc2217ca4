/* SPDX-License-Identifier: MIT
 * What the kernel tests share: seeded data of several patterns, guarded buffers, comparators, execution on n threads.
 * Every comparator tests the exponent bits first: a NaN never passes. DD_SEED=n in the environment changes the data. */
#ifndef DD_TESTS_UNIT_KERNEL_TEST_H
#define DD_TESTS_UNIT_KERNEL_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/base/pool.h"
#include "kernels/cpu/cpu.h"
#include "kernels/ref/ref.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))
#define EPS 0x1p-24 /* half a unit in the last place of 1: the error of one rounding, relative */
#define MAX_SCRATCH_TOKENS 1100

/* ---- data ---- */

typedef enum pattern { UNIFORM, NORMAL, MEAN100, OUTLIERS, N_PATTERNS } pattern;

typedef struct rnd {
    uint64_t s;
} rnd;

static inline rnd rnd_open(uint64_t n)
{
    const char *e = getenv("DD_SEED");
    return (rnd){.s = (e ? strtoull(e, NULL, 10) : 1) * 0x9e3779b97f4a7c15u + n * 0xd1342543de82ef95u};
}

static inline uint64_t rnd_bits(rnd *r) /* splitmix64 */
{
    uint64_t z = r->s += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline double rnd_unit(rnd *r) { return (double)(rnd_bits(r) >> 11) * 0x1p-53; }

static inline double rnd_normal(rnd *r)
{
    const double radius = sqrt(-2 * log(1 - rnd_unit(r)));
    return radius * cos(6.283185307179586 * rnd_unit(r));
}

static inline void fill(rnd *r, float *p, size_t n, pattern how)
{
    for (size_t i = 0; i < n; i++) {
        switch (how) {
        case UNIFORM: p[i] = (float)(2 * rnd_unit(r) - 1); break;
        case MEAN100: p[i] = (float)(100 + 0.1 * rnd_normal(r)); break;
        case OUTLIERS: p[i] = (float)(rnd_normal(r) * (rnd_bits(r) % 64 == 0 ? 1000 : 1)); break;
        default: p[i] = (float)rnd_normal(r);
        }
    }
}

/* ---- guarded buffers ---- */

#define GUARD 32 /* floats on either side */
#define GUARD_BITS 0x7fabcdefu
#define POISON_BITS 0x7fc0beefu

typedef struct buf {
    float *p;
    size_t n;
    float *copy; /* of the data, by buf_keep */
    uint32_t *base;
} buf;

/* n floats of poison, aligned to 4 bytes only, between guards. */
static inline buf buf_open(size_t n)
{
    buf b = {.n = n};
    b.base = malloc((n + 2 * GUARD + 1) * sizeof *b.base);
    assert_non_null(b.base);
    for (size_t i = 0; i < n + 2 * GUARD + 1; i++) b.base[i] = GUARD_BITS;
    b.p = (float *)(void *)(b.base + GUARD + 1);
    for (size_t i = 0; i < n; i++) b.base[GUARD + 1 + i] = POISON_BITS;
    return b;
}

static inline buf buf_random(rnd *r, size_t n, pattern how)
{
    const buf b = buf_open(n);
    fill(r, b.p, n, how);
    return b;
}

static inline void buf_poison(const buf *b)
{
    const uint32_t bits = POISON_BITS;
    for (size_t i = 0; i < b->n; i++) memcpy(b->p + i, &bits, sizeof bits);
}

/* Remembers an input; buf_check then also proves that it was not written. */
static inline void buf_keep(buf *b)
{
    if (!b->copy) b->copy = malloc(b->n * sizeof *b->copy + 1);
    assert_non_null(b->copy);
    memcpy(b->copy, b->p, b->n * sizeof *b->copy);
}

static inline void buf_check(const buf *b)
{
    for (size_t i = 0; i <= GUARD; i++) assert_int_equal(b->base[i], GUARD_BITS);
    for (size_t i = 0; i < GUARD; i++) assert_int_equal(b->base[GUARD + 1 + b->n + i], GUARD_BITS);
    if (b->copy && b->n) assert_memory_equal(b->copy, b->p, b->n * sizeof *b->copy);
}

static inline void buf_close(buf *b)
{
    buf_check(b);
    free(b->copy);
    free(b->base);
    *b = (buf){0};
}

static inline buf buf_clone(const buf *b)
{
    const buf c = buf_open(b->n);
    if (b->n) memcpy(c.p, b->p, b->n * sizeof *b->p);
    return c;
}

/* ---- comparison ---- */

static inline bool is_poison(float x) { return dd_f32_bits(x) == POISON_BITS; }

/* Fails unless got is finite and within bound of want. */
static inline void assert_near(double want, float got, double bound, const char *what, int64_t i)
{
    if (dd_f32_finite(got) && fabs(got - want) <= bound) return;
    fail_msg("%s: element %lld is %.9g, not %.9g (error %.3g, bound %.3g)", what, (long long)i, (double)got, want,
             fabs(got - want), bound);
}

static inline void assert_same_bits(const float *a, const float *b, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (dd_f32_bits(a[i]) != dd_f32_bits(b[i]))
            fail_msg("%s: element %zu differs: %.9g, %.9g", what, i, (double)a[i], (double)b[i]);
}

/* ---- execution ---- */

typedef struct runner {
    dd_exec exec;
    dd_pool *pool;
    void *scratch[8];
    int32_t step;
} runner;

/* threads 0: no pool at all. Scratch is filled with poison, since ops must not expect zeros. */
static inline void runner_open(runner *r, int threads)
{
    memset(r, 0, sizeof *r);
    const size_t bytes = (dd_cpu_scratch_bytes(MAX_SCRATCH_TOKENS, 128, 256) + 63) / 64 * 64;
    const int n = threads ? threads : 1;
    for (int i = 0; i < n; i++) {
        r->scratch[i] = aligned_alloc(64, bytes);
        assert_non_null(r->scratch[i]);
        memset(r->scratch[i], 0xff, bytes);
    }
    r->exec = (dd_exec){.step = &r->step, .n_threads = n, .scratch = r->scratch, .scratch_bytes = bytes};
    if (threads == 0) return;
    assert_int_equal(dd_pool_open(&r->pool, threads, NULL), DD_OK);
    r->exec.pool = r->pool;
    r->exec.parallel_for = dd_pool_for;
}

static inline void runner_close(runner *r)
{
    for (int i = 0; i < r->exec.n_threads; i++) free(r->scratch[i]);
    if (r->pool) dd_pool_close(&r->pool);
}

/* Threads 0 (no pool), 1, 2, 3: group set-up and tear-down. */
static runner runners[4];

static inline int open_runners(void **state)
{
    (void)state;
    for (int t = 0; t < 4; t++) runner_open(&runners[t], t);
    return 0;
}

static inline int close_runners(void **state)
{
    (void)state;
    for (int t = 0; t < 4; t++) runner_close(&runners[t]);
    return 0;
}

/* ---- weights ---- */

typedef struct weight {
    buf data; /* [n,k] */
    int64_t n, k;
    dd_packed *ref, *cpu;
} weight;

static inline weight weight_pack_as(buf data, int64_t n, int64_t k, int64_t unit, dd_dtype as)
{
    weight w = {.data = data, .n = n, .k = k};
    const dd_weight_desc d = {.name = "w", .data = data.p, .dtype = DD_F32, .n = n, .k = k, .n_unit = unit, .as = as};
    void *ref = aligned_alloc(64, (dd_ref_packed_bytes(&d) + 63) / 64 * 64);
    void *cpu = aligned_alloc(64, (dd_cpu_packed_bytes(&d) + 63) / 64 * 64);
    assert_non_null(ref);
    assert_non_null(cpu);
    assert_int_equal(dd_ref_pack(&d, ref, &w.ref), DD_OK);
    assert_int_equal(dd_cpu_pack(&d, cpu, &w.cpu), DD_OK);
    return w;
}

static inline weight weight_pack(buf data, int64_t n, int64_t k, int64_t unit)
{
    return weight_pack_as(data, n, k, unit, DD_F32);
}

static inline void weight_close(weight *w)
{
    free(w->ref);
    free(w->cpu);
    buf_close(&w->data);
}

/* ---- slices ---- */

typedef enum slicing { SLICE_NULL, SLICE_NONE, SLICE_ONE, SLICE_ALTERNATE, SLICE_ALL, N_SLICINGS } slicing;

typedef struct slices {
    int32_t list[512];
    int32_t offset;
    dd_slices s;
} slices;

static inline bool unit_on(slicing how, int64_t unit)
{
    return how == SLICE_NULL || how == SLICE_ALL || (how == SLICE_ONE && unit == 1) ||
           (how == SLICE_ALTERNATE && unit % 2 == 0);
}

static inline void slices_set(slices *s, slicing how, int64_t width, int64_t unit)
{
    memset(s, 0, sizeof *s);
    s->offset = 3; /* lists need not begin at the start of the pool */
    int32_t *list = s->list + s->offset;
    if (how == SLICE_NULL) return;
    for (int64_t c = 0; c < width / DD_CHUNK; c++)
        if (unit_on(how, c * DD_CHUNK / unit)) list[++list[0]] = (int32_t)c;
    s->s = (dd_slices){.pool = s->list, .offset = &s->offset};
}

#endif

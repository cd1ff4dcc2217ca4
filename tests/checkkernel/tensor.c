/* SPDX-License-Identifier: MIT
 * Guarded buffers and the test of one element. A value that is not finite is recognised by its exponent bits. */
#define _DEFAULT_SOURCE /* mmap */
#include "tests/checkkernel/tensor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __FAST_MATH__
#error "checkkernel is not built with fast-math"
#endif

#define GUARD 256 /* bytes on either side */
#define GUARD_BYTE 0xd9

void *ck_alloc(size_t bytes)
{
    const size_t n = (bytes + 127) / 64 * 64;
    void *p = aligned_alloc(64, n);
    if (p == NULL) {
        fprintf(stderr, "checkkernel: out of memory\n");
        exit(2);
    }
    return memset(p, 0, n);
}

static void poison(ck_tensor *t)
{
    for (size_t i = 0; i < t->n; i++) {
        switch (t->dtype) {
        case DD_F16:
        case DD_BF16: ((uint16_t *)t->p)[i] = CK_POISON_BF16; break;
        case DD_U8: ((uint8_t *)t->p)[i] = CK_POISON_U8; break;
        default: ((uint32_t *)t->p)[i] = CK_POISON_F32; break;
        }
    }
}

/* The data end where a page begins that must not be touched, or as shortly before as the alignment allows. */
static bool map_input(ck_tensor *t, size_t align)
{
#if defined(__SANITIZE_ADDRESS__)
    (void)t;
    (void)align;
    return false;
#else
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), n = (t->bytes + GUARD + align + page - 1) / page * page;
    unsigned char *base = mmap(NULL, n + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return false;
    if (mprotect(base + n, page, PROT_NONE) != 0) exit(2);
    const size_t at = (n - t->bytes) / align * align;
    t->base = base;
    t->mapped = n + page;
    t->p = base + at;
    t->behind = n - t->bytes - at;
    return true;
#endif
}

ck_tensor ck_tensor_open(const char *name, dd_dtype dtype, size_t n, bool output, bool aligned)
{
    ck_tensor t = {.name = name, .dtype = dtype, .output = output, .n = n, .bytes = n * dd_dtype_bytes(dtype)};
    const bool free_place = dd_rounded(1 + 0x1p-13f, dtype) != 1 && !aligned; /* not of fewer bits than float32 */
    if (output || !map_input(&t, free_place ? 1 : 64)) {
        t.base = ck_alloc(t.bytes + 2 * GUARD + 64);
        t.p = t.base + GUARD + (dtype == DD_F32 && free_place ? 4 : 0);
        t.behind = GUARD;
    }
    poison(&t);
    t.initial = ck_alloc(t.bytes);
    if (!output) return t;
    t.first = ck_alloc(t.bytes);
    t.expect = ck_alloc(n * sizeof *t.expect);
    return t;
}

void ck_tensor_close(ck_tensor *t)
{
    if (t->mapped) munmap(t->base, t->mapped);
    else free(t->base);
    free(t->initial);
    free(t->first);
    free(t->expect);
    free(t->naive);
    *t = (ck_tensor){0};
}

void ck_tensor_seal(ck_tensor *t) { memcpy(t->initial, t->p, t->bytes); }

void ck_tensor_restore(ck_tensor *t)
{
    unsigned char *p = t->p;
    memset(p - GUARD, GUARD_BYTE, GUARD);
    memset(p + t->bytes, GUARD_BYTE, t->behind);
    memcpy(p, t->initial, t->bytes);
}

bool ck_guards_hold(const ck_tensor *t)
{
    const unsigned char *p = t->p;
    for (const unsigned char *q = p - GUARD; q < p; q++)
        if (*q != GUARD_BYTE) return false;
    for (size_t i = 0; i < t->behind; i++)
        if (p[t->bytes + i] != GUARD_BYTE) return false;
    return true;
}

uint32_t ck_bits_at(const ck_tensor *t, const void *p, size_t i)
{
    switch (t->dtype) {
    case DD_F16:
    case DD_BF16: return ((const uint16_t *)p)[i];
    case DD_U8: return ((const uint8_t *)p)[i];
    default: return ((const uint32_t *)p)[i];
    }
}

double ck_value_at(const ck_tensor *t, const void *p, size_t i)
{
    const uint32_t bits = ck_bits_at(t, p, i);
    switch (t->dtype) {
    case DD_F32:
    case DD_TF32: return (double)dd_f32_from_bits(bits);
    case DD_F16: return (double)dd_f16_to_f32((uint16_t)bits);
    case DD_BF16: return (double)dd_bf16_to_f32((uint16_t)bits);
    default: return (double)(int32_t)bits;
    }
}

/* Rounding is monotonic: the rounding of a number within bound of want lies between those of want - bound and want +
 * bound. This is "one rounding of the output" without a constant. What is too large for f16 rounds to infinity. */
static bool rounded_near(dd_dtype t, double want, double bound, float got)
{
    const float low = dd_rounded((float)(want - bound), t), high = dd_rounded((float)(want + bound), t);
    return low <= got && got <= high && dd_rounded(got, t) == got;
}

bool ck_element_ok(const ck_tensor *t, size_t i)
{
    const ck_expect *e = &t->expect[i];
    const uint32_t bits = ck_bits_at(t, t->p, i);
    switch (e->kind) {
    case CK_KEEP: return bits == ck_bits_at(t, t->initial, i);
    case CK_BITS: return bits == e->bits;
    case CK_ZERO: return dd_dtype_bytes(t->dtype) == 4 ? (bits & 0x7fffffffu) == 0 : (bits & 0x7fffu) == 0;
    case CK_SAME:
    case CK_FREE: return true;
    case CK_NEAR: break;
    }
    const double got = ck_value_at(t, t->p, i);
    const bool finite = dd_f32_finite((float)got);
    if (!dd_f32_finite((float)e->want)) return !finite;
    if (t->dtype == DD_F16) return rounded_near(DD_F16, e->want, e->bound, (float)got);
    if (!finite) return false;
    return t->dtype == DD_F32 ? fabs(got - e->want) <= e->bound : rounded_near(t->dtype, e->want, e->bound, (float)got);
}

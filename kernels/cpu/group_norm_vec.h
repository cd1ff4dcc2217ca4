/* SPDX-License-Identifier: MIT
 * GroupNorm in vectors of float32, for the stores of group_norm_tmpl.h and group_norm_bf16_tmpl.h.
 * Layout: pixels [B,P,C]; a part is `each` pixels, read in strips of up to 1024 channels, whole groups where they fit.
 * Thread mapping: items are the parts. Budget: scratch three vectors of a strip; a part is read twice for its statistics,
 * the second time from the L2 cache.
 * Precision: sums of a channel over a part in float32, pixels ascending; of channels in double. The second pass sums
 * squares of x - mean and also x - mean, which corrects both (Chan's corrected two-pass form), so that a large mean costs
 * no accuracy. */
#ifndef DD_KERNELS_CPU_GROUP_NORM_VEC_H
#define DD_KERNELS_CPU_GROUP_NORM_VEC_H

#include "kernels/cpu/cpu_vec.h"
#include "kernels/cpu/group_norm.h"

/* The first n > 0 values from p on, at most a vector. */
DD_INLINE vf norm_load(const float *p, int64_t n) { return n >= DD_VL ? vload(p) : vload_part(p, (int)n); }

DD_INLINE void norm_store(float *p, vf x, int64_t n)
{
    if (n >= DD_VL) vstore(p, x);
    else vstore_part(p, x, (int)n);
}

/* Channels of the strip that begins at channel `first`: whole groups, or a piece of one that is too wide. */
static inline int64_t norm_strip(const dd_group_norm_args *g, int64_t first)
{
    const int64_t width = g->c / g->groups, whole = DD_NORM_CHANNELS / width * width;
    const int64_t most = whole > 0 ? whole : DD_NORM_CHANNELS, end = whole > 0 ? g->c : (first / width + 1) * width;
    return end - first < most ? end - first : most;
}

/* sum[c] over the pixels. */
static void norm_sums(const float *x, int64_t pixels, int64_t ld, int64_t n, float *sum)
{
    for (int64_t c = 0; c < n; c += 2 * DD_VL) {
        const int64_t left = n - c, right = left - DD_VL;
        vf a = vsplat(0), b = a;
        for (int64_t i = 0; i < pixels; i++) {
            const float *p = x + i * ld + c;
            a += norm_load(p, left);
            if (right > 0) b += norm_load(p + DD_VL, right);
        }
        norm_store(sum + c, a, left);
        if (right > 0) norm_store(sum + c + DD_VL, b, right);
    }
}

/* sum[c] and square[c] of x - mean[c]. */
static void norm_squares(const float *x, int64_t pixels, int64_t ld, int64_t n, const float *mean, float *sum,
                         float *square)
{
    for (int64_t c = 0; c < n; c += 2 * DD_VL) {
        const int64_t left = n - c, right = left - DD_VL;
        const vf ma = norm_load(mean + c, left), mb = right > 0 ? norm_load(mean + c + DD_VL, right) : vsplat(0);
        vf a = vsplat(0), b = a, qa = a, qb = a;
        for (int64_t i = 0; i < pixels; i++) {
            const float *p = x + i * ld + c;
            const vf ta = norm_load(p, left) - ma;
            a += ta;
            qa = vfma(ta, ta, qa);
            if (right <= 0) continue;
            const vf tb = norm_load(p + DD_VL, right) - mb;
            b += tb;
            qb = vfma(tb, tb, qb);
        }
        norm_store(sum + c, a, left);
        norm_store(square + c, qa, left);
        if (right <= 0) continue;
        norm_store(sum + c + DD_VL, b, right);
        norm_store(square + c + DD_VL, qb, right);
    }
}

/* n channels of one group, or of a piece of it: joins their moments to those in `part` of `seen` channels. */
static void norm_join(float *part, int64_t seen, int64_t n, double pixels, double center, const float *sum,
                      const float *square)
{
    double s = 0, q = 0;
    for (int64_t c = 0; c < n; c++) {
        s += (double)sum[c];
        q += (double)square[c];
    }
    const double count = pixels * (double)n, off = s / count, before = pixels * (double)seen;
    double mean = center + off;
    q -= count * off * off;
    if (seen > 0) {
        const double old = (double)part[0] + (double)part[1], d = mean - old;
        q += (double)part[2] + d * d * (before * count / (before + count));
        mean = old + d * (count / (before + count));
    }
    part[0] = (float)mean;
    part[1] = (float)(mean - (double)part[0]);
    part[2] = (float)q;
}

static void norm_statistics(void *arg, int item, int thread)
{
    const dd_group_norm_job *j = arg;
    const dd_group_norm_args *g = j->g;
    const int64_t b = item / j->parts, part = item % j->parts, width = g->c / g->groups;
    const int64_t pixels = dd_group_norm_pixels(j, part);
    const float *x = g->x + (b * g->pixels + part * j->each) * g->c;
    float *sum = j->scratch[thread], *square = sum + DD_NORM_CHANNELS, *mean = square + DD_NORM_CHANNELS;
    for (int64_t first = 0, n; first < g->c; first += n) {
        n = norm_strip(g, first);
        const int64_t one = n < width ? n : width;
        norm_sums(x + first, pixels, g->c, n, sum);
        for (int64_t c = 0; c < n; c += one) {
            double total = 0;
            for (int64_t i = 0; i < one; i++) total += (double)sum[c + i];
            for (int64_t i = 0; i < one; i++) mean[c + i] = (float)(total / (double)(pixels * one));
        }
        norm_squares(x + first, pixels, g->c, n, mean, sum, square);
        for (int64_t c = 0; c < n; c += one) {
            float *to = dd_group_norm_part(g, b, (first + c) / width, part);
            norm_join(to, (first + c) % width, one, (double)pixels, (double)mean[c], sum + c, square + c);
        }
    }
}

/* What a strip of channels is multiplied with: y = (x - mean) scale + shift. */
typedef struct norm_affine {
    const float *mean, *scale, *shift;
} norm_affine;

static norm_affine norm_affine_of(const dd_group_norm_args *g, int64_t b, int64_t first, int64_t n, float *scratch)
{
    float *mean = scratch, *scale = mean + DD_NORM_CHANNELS, *shift = scale + DD_NORM_CHANNELS;
    for (int64_t c = 0; c < n; c++) {
        const float *p = dd_group_norm_part(g, b, (first + c) / (g->c / g->groups), 0);
        mean[c] = p[0];
        scale[c] = p[2] * g->gamma[first + c];
        shift[c] = g->beta[first + c] - p[1] * scale[c];
    }
    return (norm_affine){mean, scale, shift};
}

/* Values of channel c of a strip on, of which `left` are left. SiLU: y / (1 + e^-y); below -80 the exponential vanishes
 * next to 1, and denormal ones are slow. */
DD_INLINE vf norm_values(const norm_affine *a, const float *x, int64_t c, int64_t left, const bool silu)
{
    const vf t = norm_load(x + c, left) - norm_load(a->mean + c, left);
    const vf y = vfma(t, norm_load(a->scale + c, left), norm_load(a->shift + c, left));
    if (!silu) return y;
    return y / (vsplat(1.0f) + vexp(vmax(vsplat(-80.0f), vsplat(0) - y)));
}

/* Where values from element `at` of y on go; of `left` that are left, at most a vector. */
typedef void norm_put(void *y, int64_t at, vf values, int64_t left);

DD_INLINE void norm_part(const dd_group_norm_job *j, int item, float *scratch, const bool silu, norm_put *put)
{
    const dd_group_norm_args *g = j->g;
    const int64_t b = item / j->parts, part = item % j->parts, ld = g->c, at = (b * g->pixels + part * j->each) * ld;
    for (int64_t first = 0, n; first < ld; first += n) {
        n = norm_strip(g, first);
        const norm_affine a = norm_affine_of(g, b, first, n, scratch);
        int64_t pixel = at + first;
        for (int64_t i = dd_group_norm_pixels(j, part); i > 0; i--, pixel += ld)
            for (int64_t c = 0; c < n; c += DD_VL)
                put(g->y, pixel + c, norm_values(&a, g->x + pixel, c, n - c, silu), n - c);
    }
}

#endif

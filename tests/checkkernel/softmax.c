/* SPDX-License-Identifier: MIT
 * Bounds of attentions, from their scores. */
#include "tests/checkkernel/softmax.h"

#include <math.h>
#include <stdlib.h>

void ck_softmax_open(ck_softmax *y)
{
    y->weight = ck_alloc((size_t)y->s * sizeof(double));
    y->f = ck_alloc((size_t)y->s * sizeof(double));
    y->naive = ck_alloc((size_t)y->s * sizeof(float));
}

void ck_softmax_close(ck_softmax *y)
{
    free(y->weight);
    free(y->f);
    free(y->naive);
}

void ck_softmax_query(ck_softmax *y, const float *q, const float *first)
{
    const int s = y->s, e = y->e;
    const double extra = ck_approx(y->format);
    y->q = q;
    y->first = first;
    double max = -HUGE_VAL, sum = 0;
    float top = -HUGE_VALF, nsum = 0;
    for (int j = 0; j < s; j++) {
        const float *k = y->first + j * y->ld + e;
        double dot = 0;
        float naive = 0;
        for (int x = 0; x < e; x++) {
            dot += (double)y->q[x] * k[x];
            naive += y->q[x] * k[x];
        }
        y->weight[j] = dot / sqrt((double)e);
        y->f[j] = (e + 4) * CK_EPS * ck_abs_dot(y->q, k, e) / sqrt((double)e);
        y->naive[j] = naive / sqrtf((float)e);
        max = fmax(max, y->weight[j]);
        top = fmaxf(top, y->naive[j]);
    }
    for (int j = 0; j < s; j++) {
        const double d = y->f[j] + 2 * CK_EPS * (fabs(y->weight[j]) + fabs(max)) + 8 * CK_EPS;
        y->f[j] = expm1(fmin(d, 50)) + extra;
        sum += y->weight[j] = exp(y->weight[j] - max);
        nsum += y->naive[j] = expf(y->naive[j] - top);
    }
    for (int j = 0; j < s; j++) {
        y->weight[j] /= sum;
        y->naive[j] /= nsum;
    }
}

double ck_softmax_bound(const ck_softmax *y, int x, double want)
{
    const int s = y->s;
    const float *v = y->first + 2 * y->e + x;
    const double cs = (fmin(s, 6 * sqrt((double)s)) + 3) * CK_EPS;
    double n = 0, f = cs, top = 0, sum[2] = {0}, square[2] = {0};
    for (int j = 0; j < s; j++) {
        const double a = fabs((double)v[j * y->ld]), p = y->weight[j],
                     e = y->format == DD_FMT_F16 ? p * 0x1p-11 + 0x1p-25 : p * 0x1p-8,
                     parts[2] = {e * a, e * fabs(v[j * y->ld] - want)};
        n += p * a * (y->f[j] + cs);
        f += p * y->f[j];
        top = fmax(top, a);
        for (int i = 0; i < 2; i++) {
            sum[i] += parts[i];
            square[i] += parts[i] * parts[i];
        }
    }
    const double flush = s * CK_FLUSH * (1 + top), trivial = 2 * top * (1 + 4 * cs + 0x1p-6);
    if (!(f < 0.5)) return trivial + flush;
    const bool chance = y->how == CK_UNIFORM || y->how == CK_NORMAL || y->how == CK_OUTLIERS;
    double rounded = 0;
    for (int i = 0; i < 2 && y->format != DD_FMT_F32; i++)
        rounded = fmax(rounded, chance ? fmin(sum[i], 6 * sqrt(square[i])) : sum[i]);
    return fmin((n + rounded + fabs(want) * (f + 3 * CK_EPS)) / (1 - f), trivial) + flush;
}

float ck_softmax_naive(const ck_softmax *y, int x)
{
    float naive = 0;
    for (int j = 0; j < y->s; j++) naive += y->naive[j] * y->first[j * y->ld + 2 * y->e + x];
    return naive;
}

/* SPDX-License-Identifier: MIT
 * GroupNorm, perhaps with SiLU. What is right: dd_ref_group_norm on the same inputs, with a float32 result.
 *
 * Bound, u = 2^-24, N values in a group, n = (x - mean) rstd, r = min(N, 6 sqrt N) u for sums in any order (see
 * check_gemm.c). Sums must be of values from which the mean, or something near it, has been taken away: then the mean errs
 * by r mean |x - mean|, in units of 1 / rstd at most r, and by the rounding of what the values were taken away from, and
 * two subtractions round: 8 u max |x| rstd together, as in check_adaln.c. The variance is a sum of squares of such
 * values and errs by (r + 4 u) of itself, half of which n sees; root, quotient and product are 4 u more:
 *   |error of n| <= (r + 6 u) (|n| + 1) + 8 u max |x| rstd.
 * The variance as a difference of two large sums is not within it once the mean is large. gamma multiplies that and two roundings
 * come on top. SiLU has a slope of at most 1.1; 8 u for e^x, the sum and the division, and ck_approx with a result of 16
 * bits; where e^-y exceeds float32, at y < -88.7, it may become 0: 89 / 2^128. */
#include <math.h>
#include <stdlib.h>

#include "tests/checkkernel/picture.h"

typedef struct params {
    int b, pixels, c, groups, silu;
    float eps;
    dd_format y;
    ck_pattern how;
    bool nan;
} params;

static void add_case(ck_list *l, params p)
{
    ck_list_add(l, &p, sizeof p, "b%d,p%d,c%d/%d,%s%s,eps%g,%s%s", p.b, p.pixels, p.c, p.groups, dd_format_name(p.y),
                p.silu ? ",silu" : "", (double)p.eps, ck_pattern_name(p.how), p.nan ? ",nan" : "");
}

static void list(ck_list *l)
{
    static const int dims[][4] = {
        {1, 1, 8, 1},
        {1, 1, 8, 8},
        {2, 1, 32, 4},
        {1, 7, 8, 2},
        {3, 9, 16, 16},
        {1, 63, 24, 3},
        {2, 64, 32, 8},
        {1, 65, 64, 32},
        {1, 130, 40, 5},
        {2, 131, 128, 32},
        {1, 257, 72, 9},
        {1, 1100, 8, 4},
        {1, 300, 56, 7},
        {2, 129, 24, 24},
        {1, 200, 256, 32},
        {1, 40, 88, 1},
        /* strips that end off a vector; groups wider than a strip; parts of more than a few pixels */
        {1, 3, 1056, 32},
        {2, 2, 2056, 2},
        {1, 8200, 8, 1}};
    static const int large[][4] = {{1, 1024, 512, 32}, {2, 4097, 128, 32}, {1, 20000, 8, 1}, {1, 1000, 320, 10}};
    for (int f = 0; f < DD_FMT_COUNT; f++) {
        if (f == DD_FMT_BF16_BLOCKS) continue;
        params p = {.y = (dd_format)f, .eps = 1e-6f};
        for (int s = 0; s < CK_COUNT(dims) + CK_COUNT(large) * (l->level == CK_FULL); s++) {
            const int *d = s < CK_COUNT(dims) ? dims[s] : large[s - CK_COUNT(dims)];
            p.b = d[0];
            p.pixels = d[1];
            p.c = d[2];
            p.groups = d[3];
            for (int how = 0; how < CK_PATTERNS; how++) {
                p.how = (ck_pattern)how;
                p.silu = (s + how) % 2;
                if (l->level == CK_FULL || (f == 0 ? (s + how) % 4 == 0 : (3 * s + f) % 24 == how)) add_case(l, p);
            }
        }
        p = (params){.b = 2, .pixels = 40, .c = 32, .groups = 4, .y = (dd_format)f, .eps = 1e-2f, .how = CK_UNIFORM};
        add_case(l, p);
        p.silu = 1;
        p.nan = true;
        add_case(l, p);
    }
}

static const char *unsupported(const ck_impl *impl, const void *p)
{
    return ck_pixels_unsupported(impl, ((const params *)p)->y);
}

typedef struct stats {
    double mean, rstd, max, n;
    float naive_mean, naive_rstd;
} stats;

static stats stats_of(const params *p, const float *x, int64_t first)
{
    const int64_t width = p->c / p->groups;
    stats s = {.n = (double)(p->pixels * width)};
    double var = 0;
    float square = 0;
    for (int64_t i = 0; i < p->pixels; i++)
        for (int64_t c = first; c < first + width; c++) {
            s.mean += (double)x[i * p->c + c] / s.n;
            s.naive_mean += x[i * p->c + c];
            s.max = fmax(s.max, fabs((double)x[i * p->c + c]));
        }
    s.naive_mean /= (float)s.n;
    for (int64_t i = 0; i < p->pixels; i++)
        for (int64_t c = first; c < first + width; c++) {
            const double d = (double)x[i * p->c + c] - s.mean;
            const float naive = x[i * p->c + c] - s.naive_mean;
            var += d * d / s.n;
            square += naive * naive;
        }
    s.rstd = 1 / sqrt(var + (double)p->eps);
    s.naive_rstd = 1 / sqrtf(square / (float)s.n + p->eps);
    return s;
}

static void expect_group(ck_case *c, const ck_matrix *y, int64_t b, int64_t group, const float *want)
{
    const params *p = c->params;
    const dd_group_norm_args *g = &c->args.group_norm;
    const int64_t width = p->c / p->groups, before = b * p->pixels;
    const float *x = g->x + before * p->c;
    const stats s = stats_of(p, x, group * width);
    const double r = fmin(s.n, 6 * sqrt(s.n)) * CK_EPS;
    for (int64_t i = 0; i < p->pixels; i++)
        for (int64_t ch = group * width; ch < (group + 1) * width; ch++) {
            const float v = x[i * p->c + ch];
            const double exact = (double)want[(before + i) * p->c + ch], up = fabs((double)g->gamma[ch]);
            const double norm = fabs((v - s.mean) * s.rstd), shift = fabs((double)g->beta[ch]);
            double bound = ((r + 6 * CK_EPS) * (norm + 1) + 8 * CK_EPS * s.max * s.rstd) * up;
            bound += 2 * CK_EPS * (2 * norm * up + shift) + 2 * CK_FLUSH;
            float naive = (v - s.naive_mean) * s.naive_rstd * g->gamma[ch] + g->beta[ch];
            if (p->silu) {
                bound = 1.1 * bound + (8 * CK_EPS + ck_approx(p->y)) * fabs(exact) + 0x1p-121;
                naive /= 1 + expf(-naive);
            }
            ck_expect_near(y->t, (before + i) * p->c + ch, exact, bound, naive);
        }
}

static uint64_t least_work(const void *q)
{
    const params *p = q;
    return 2 * (uint64_t)((int64_t)p->b * p->pixels * p->c);
}

static void build(ck_case *c)
{
    const params *p = c->params;
    dd_group_norm_args *g = &c->args.group_norm;
    const int64_t pixels = (int64_t)p->b * p->pixels, sums = dd_group_norm_work(p->b, p->groups);
    *g = (dd_group_norm_args){.y_format = p->y,
                              .eps = p->eps,
                              .b = p->b,
                              .pixels = p->pixels,
                              .c = p->c,
                              .groups = p->groups,
                              .silu = p->silu};
    float *x = ck_in_f32(c, "x", (size_t)(pixels * p->c), p->how);
    if (p->nan) x[p->c / 2] = dd_f32_from_bits(0x7fc00000);
    c->no_naive = p->nan;
    g->x = x;
    g->gamma = ck_in_f32(c, "gamma", (size_t)p->c, CK_NORMAL);
    g->beta = ck_in_f32(c, "beta", (size_t)p->c, CK_NORMAL);
    const ck_matrix y = ck_matrix_open(c, "y", p->y, pixels, p->c, true);
    ck_tensor *w = ck_out(c, "work", DD_F32, (size_t)sums);
    g->work = w->p;
    for (int64_t i = 0; i < sums; i++) ck_expect_kind(w, i, CK_FREE);
    float *want = ck_alloc((size_t)(pixels * p->c) * sizeof *want);
    dd_group_norm_args a = *g;
    a.y = want;
    a.y_format = DD_FMT_F32;
    ck_reference(c, &(dd_op_args){.group_norm = a});
    g->y = y.t->p;
    for (int64_t b = 0; b < p->b; b++)
        for (int64_t group = 0; group < p->groups; group++) expect_group(c, &y, b, group, want);
    free(want);
}

static bool variant(ck_case *c, int i)
{
    const params *p = c->params;
    dd_group_norm_args *g = &c->variant_args.group_norm;
    int64_t at;
    if (i > 0 || !ck_last_picture(c, ck_first_output(c), p->b, &at)) return false;
    g->x += at;
    g->y = (char *)g->y + at * ck_format_bytes(p->y);
    g->b = 1;
    return true;
}

const ck_op ck_op_group_norm = {.id = DD_OP_group_norm,
                                .list = list,
                                .unsupported = unsupported,
                                .least_work = least_work,
                                .build = build,
                                .variant = variant};

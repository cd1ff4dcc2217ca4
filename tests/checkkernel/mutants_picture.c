/* SPDX-License-Identifier: MIT
 * Faulty ops on pictures: plain loops in which single things can be wrong. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ref/ref.h"
#include "kernels/ref/ref_format.h"
#include "kernels/ref/ref_pack.h"
#include "tests/checkkernel/check.h"
#include "tests/checkkernel/mutants.h"

/* ---- convolution ---- */

typedef enum conv_fault {
    TAP_SHIFTED,     /* one place to the right */
    TAPS_TRANSPOSED, /* columns of taps first */
    FLIPPED,         /* a convolution as mathematics has it */
    BORDER_WRAPS,    /* the pixel before a line is the last one of the line above */
    BORDER_REPEATED,
    OTHER_PICTURE,  /* the line above the first one is that of the picture before */
    UP_OFF_BY_ONE,  /* repeats pixels from the second one on */
    UP_LINES_ALONE, /* repeats lines and takes every other column */
    NO_RESIDUAL,
    RESIDUAL_TWICE,
    NO_BIAS,
    LAST_CHANNEL,
    LAST_PIXEL,
    CONV_CUTS,
    ROUNDS_RESIDUAL, /* to bfloat16 */
    ZEROS_TIMES_NAN  /* the border is zero times what lies in the middle */
} conv_fault;

/* Where line or column `at` of `size` comes from; -1: from outside. */
static int64_t border(int64_t at, int64_t size)
{
    if (at >= 0 && at < size) return at;
    return ck_fault == BORDER_REPEATED ? (at < 0 ? 0 : size - 1) : -1;
}

static float conv_in(const dd_conv2d_args *a, int64_t b, int64_t y, int64_t x, int64_t c)
{
    const int64_t up = a->upsample ? 2 : 1, h = a->h / up, w = a->w_out / up;
    if (ck_fault == TAP_SHIFTED) x++;
    if (ck_fault == BORDER_WRAPS && x < 0 && y > 0) x += a->w_out, y--;
    const int64_t above = ck_fault == OTHER_PICTURE && b > 0 && y < 0 ? h : 0;
    const int64_t line = above ? a->h - 1 : border(y, a->h), column = border(x, a->w_out);
    if (line < 0 || column < 0) {
        const float middle = dd_ref_load(a->src, a->src_format, a->c, b * h * w + h * w / 2, c);
        return ck_fault == ZEROS_TIMES_NAN ? 0 * middle : 0;
    }
    int64_t from_y = line / up, from_x = column / up;
    if (ck_fault == UP_OFF_BY_ONE && up == 2) {
        from_y = (line + 1) / 2 < h ? (line + 1) / 2 : h - 1;
        from_x = (column + 1) / 2 < w ? (column + 1) / 2 : w - 1;
    }
    if (ck_fault == UP_LINES_ALONE && up == 2) from_x = column % w;
    return dd_ref_load(a->src, a->src_format, a->c, ((b - (above > 0)) * h + from_y) * w + from_x, c);
}

static double conv_sum(const dd_conv2d_args *a, int64_t b, int64_t y, int64_t x, int64_t n)
{
    const int64_t k = a->ksize, half = k / 2, channels = a->c - (ck_fault == LAST_CHANNEL);
    double acc = 0;
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < k; j++) {
            int64_t tap = ck_fault == TAPS_TRANSPOSED ? j * k + i : i * k + j;
            if (ck_fault == FLIPPED) tap = k * k - 1 - tap;
            const float *w = a->w->data + n * a->w->k + tap * a->c;
            for (int64_t c = 0; c < channels; c++) acc += (double)conv_in(a, b, y + i - half, x + j - half, c) * w[c];
        }
    return acc;
}

static double conv_residual(const dd_conv2d_args *a, int64_t i)
{
    if (a->residual == NULL || ck_fault == NO_RESIDUAL) return 0;
    const float r = a->residual[i];
    if (ck_fault == ROUNDS_RESIDUAL) return (double)dd_bf16_to_f32(dd_f32_to_bf16(r));
    return (double)r * (ck_fault == RESIDUAL_TWICE ? 2 : 1);
}

static dd_status conv2d(const dd_exec *e, const dd_conv2d_args *a)
{
    const int64_t plane = (int64_t)a->h * a->w_out, pixels = a->b * plane - (ck_fault == LAST_PIXEL);
    (void)e;
    for (int64_t i = 0; i < pixels; i++)
        for (int64_t n = 0; n < a->n; n++) {
            double acc = conv_sum(a, i / plane, i % plane / a->w_out, i % a->w_out, n);
            acc += (ck_fault == NO_BIAS ? 0 : (double)a->bias[n]) + conv_residual(a, i * a->n + n);
            if (ck_fault == CONV_CUTS && dd_format_dtype(a->dst_format) == DD_BF16)
                ck_store_cut(a->dst, a->dst_format, a->n, i, n, (float)acc);
            else dd_ref_store(a->dst, a->dst_format, a->n, i, n, acc);
        }
    return DD_OK;
}

/* ---- GroupNorm ---- */

typedef enum norm_fault {
    NO_EPS,
    EPS_OUTSIDE, /* of the root */
    ONE_PASS,
    UNBIASED,
    WRONG_GROUP, /* channels dealt out in turn */
    BATCH_STATISTICS,
    FIRST_PARTS, /* the last pixels are missing in the statistics */
    NO_GAMMA,
    NO_BETA,
    SILU_FORGOTTEN,
    SILU_ALWAYS,
    GELU,
    NORM_CUTS
} norm_fault;

typedef struct moments {
    double mean, rstd;
} moments;

static moments moments_of(const dd_group_norm_args *a, int64_t b, int64_t group)
{
    const int64_t width = a->c / a->groups, last = ck_fault == BATCH_STATISTICS ? a->b : b + 1;
    const int64_t first = ck_fault == BATCH_STATISTICS ? 0 : b,
                  part = a->pixels > 128 ? a->pixels / 128 * 128 : a->pixels;
    double n = 0, mean = 0, var = 0;
    float sum = 0, square = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = first * a->pixels; i < last * a->pixels; i++)
            for (int64_t j = 0; j < width; j++) {
                if (ck_fault == FIRST_PARTS && i % a->pixels >= part) continue;
                const int64_t c = ck_fault == WRONG_GROUP ? j * a->groups + group : group * width + j;
                const float x = a->x[i * a->c + c];
                if (pass == 1) var += ((double)x - mean) * ((double)x - mean);
                else mean += (double)x, n++, sum += x, square += x * x;
            }
        if (pass == 0) mean /= n;
    }
    var /= ck_fault == UNBIASED && n > 1 ? n - 1 : n;
    if (ck_fault == ONE_PASS) var = (double)(square / (float)n - sum / (float)n * (sum / (float)n));
    if (ck_fault == EPS_OUTSIDE) return (moments){mean, 1 / (sqrt(var) + (double)a->eps)};
    return (moments){mean, 1 / sqrt(var + (ck_fault == NO_EPS ? 1e-30 : (double)a->eps))};
}

static dd_status group_norm(const dd_exec *e, const dd_group_norm_args *a)
{
    (void)e;
    for (int64_t b = 0; b < a->b; b++)
        for (int64_t c = 0; c < a->c; c++) {
            const moments m = moments_of(a, b, ck_fault == WRONG_GROUP ? c % a->groups : c / (a->c / a->groups));
            for (int64_t i = b * a->pixels; i < (b + 1) * a->pixels; i++) {
                const double gamma = ck_fault == NO_GAMMA ? 1 : (double)a->gamma[c];
                double y = ((double)a->x[i * a->c + c] - m.mean) * m.rstd * gamma;
                if (ck_fault != NO_BETA) y += (double)a->beta[c];
                if (ck_fault == SILU_ALWAYS || (a->silu && ck_fault != SILU_FORGOTTEN))
                    y /= 1 + exp(ck_fault == GELU ? -1.702 * y : -y);
                if (ck_fault == NORM_CUTS && dd_format_dtype(a->y_format) == DD_BF16)
                    ck_store_cut(a->y, a->y_format, a->c, i, c, (float)y);
                else dd_ref_store(a->y, a->y_format, a->c, i, c, y);
            }
        }
    return DD_OK;
}

/* ---- attention over pixels ---- */

typedef enum attention_fault {
    NO_SCALE,
    SWAPPED_QK,
    LAST_KEY,
    PADDED_KEY, /* one of zeros too many */
    FIRST_PICTURE,
    NO_MAXIMUM,
    STALE_SUM, /* the sum before the last block of 16 keys is not brought to the new maximum */
    LAST_COLUMN,
    ATTENTION_CUTS
} attention_fault;

static double qkv_at(const dd_pixel_attention_args *a, int64_t pixel, int part, int64_t x)
{
    return (double)dd_ref_load(a->qkv, a->qkv_format, 3 * (int64_t)a->c, pixel, part * (int64_t)a->c + x);
}

static void attend(const dd_pixel_attention_args *a, int64_t i, double *p)
{
    const int64_t first = ck_fault == FIRST_PICTURE ? 0 : i / a->pixels * a->pixels, all = a->pixels;
    const int64_t n = ck_fault == LAST_KEY && all > 1 ? all - 1 : all;
    double max = -HUGE_VAL, early = -HUGE_VAL, sum = 0;
    for (int64_t j = 0; j < n; j++) {
        const bool swap = ck_fault == SWAPPED_QK;
        p[j] = 0;
        for (int64_t x = 0; x < a->c; x++)
            p[j] += qkv_at(a, swap ? first + j : i, 0, x) * qkv_at(a, swap ? i : first + j, 1, x);
        if (ck_fault != NO_SCALE) p[j] /= sqrt((double)a->c);
        max = fmax(max, p[j]);
        if (j < (n - 1) / 16 * 16) early = max;
    }
    for (int64_t j = 0; j < n; j++) {
        const bool stale = ck_fault == STALE_SUM && j < (n - 1) / 16 * 16;
        sum += exp(p[j] - (stale ? early : max));
        p[j] = ck_fault == NO_MAXIMUM ? (double)expf((float)p[j]) / exp(max) : exp(p[j] - max);
    }
    if (ck_fault == PADDED_KEY) sum += exp(0 - max);
    for (int64_t x = 0; x < a->c - (ck_fault == LAST_COLUMN); x++) {
        double acc = 0;
        for (int64_t j = 0; j < n; j++) acc += p[j] * qkv_at(a, first + j, 2, x);
        if (ck_fault == ATTENTION_CUTS && dd_format_dtype(a->out_format) == DD_BF16)
            ck_store_cut(a->out, a->out_format, a->c, i, x, (float)(acc / sum));
        else dd_ref_store(a->out, a->out_format, a->c, i, x, acc / sum);
    }
}

static dd_status pixel_attention(const dd_exec *e, const dd_pixel_attention_args *a)
{
    double *p = ck_alloc((size_t)a->pixels * sizeof *p);
    (void)e;
    for (int64_t i = 0; i < (int64_t)a->b * a->pixels; i++) attend(a, i, p);
    free(p);
    return DD_OK;
}

/* ---- planes and pixels ---- */

typedef enum plane_fault {
    SCALE_FORGOTTEN,
    SCALE_INVERSE,
    FILL_FORGOTTEN,
    FILL_OF_LAST,
    XY_SWAPPED,
    LAST_PLANE
} plane_fault;

static int64_t place(int64_t i, int64_t h, int64_t w) { return ck_fault == XY_SWAPPED ? i % h * w + i / h : i; }

static dd_status to_pixels(const dd_exec *e, const dd_to_pixels_args *a)
{
    const int64_t plane = (int64_t)a->h * a->w, filled = ck_fault == FILL_FORGOTTEN ? a->c_src : a->c;
    const double scale = ck_fault == SCALE_FORGOTTEN ? 1
                         : ck_fault == SCALE_INVERSE ? 1 / (double)a->scale
                                                     : (double)a->scale;
    (void)e;
    for (int64_t b = 0; b < a->b; b++)
        for (int64_t i = 0; i < plane; i++)
            for (int64_t c = 0; c < filled; c++) {
                const int64_t from = c < a->c_src ? c : a->c_src - 1;
                const float x = a->src[(b * a->c_src + from) * plane + place(i, a->h, a->w)];
                dd_ref_store(a->dst, a->dst_format, a->c, b * plane + i, c,
                             c < a->c_src || ck_fault == FILL_OF_LAST ? scale * (double)x : 0);
            }
    return DD_OK;
}

static dd_status to_planes(const dd_exec *e, const dd_to_planes_args *a)
{
    const int64_t plane = (int64_t)a->h * a->w, n = a->c_dst - (ck_fault == LAST_PLANE);
    (void)e;
    for (int64_t b = 0; b < a->b; b++)
        for (int64_t c = 0; c < n; c++)
            for (int64_t i = 0; i < plane; i++)
                a->dst[(b * a->c_dst + c) * plane + i] = a->src[(b * plane + place(i, a->h, a->w)) * a->c + c];
    return DD_OK;
}

static const ck_mutant list[] = {
    CK_MUTANT(conv2d, "taps shifted by a pixel", TAP_SHIFTED),
    CK_MUTANT(conv2d, "columns of taps first", TAPS_TRANSPOSED),
    CK_MUTANT(conv2d, "taps flipped", FLIPPED),
    CK_MUTANT(conv2d, "border wraps to the line above", BORDER_WRAPS),
    CK_MUTANT(conv2d, "border repeated instead of zero", BORDER_REPEATED),
    CK_MUTANT(conv2d, "line of the picture before", OTHER_PICTURE),
    CK_MUTANT(conv2d, "upsampling off by one", UP_OFF_BY_ONE),
    CK_MUTANT(conv2d, "upsampling of lines alone", UP_LINES_ALONE),
    CK_MUTANT(conv2d, "residual forgotten", NO_RESIDUAL),
    CK_MUTANT(conv2d, "residual added twice", RESIDUAL_TWICE),
    CK_MUTANT(conv2d, "bias forgotten", NO_BIAS),
    CK_MUTANT(conv2d, "last channel missing", LAST_CHANNEL),
    CK_MUTANT(conv2d, "last pixel missing", LAST_PIXEL),
    CK_MUTANT(conv2d, "bf16 by truncation", CONV_CUTS),
    CK_MUTANT(conv2d, "residual rounded to bf16", ROUNDS_RESIDUAL),
    CK_MUTANT(conv2d, "border multiplies what is not there", ZEROS_TIMES_NAN),
    CK_MUTANT(group_norm, "epsilon forgotten", NO_EPS),
    CK_MUTANT(group_norm, "epsilon outside of the root", EPS_OUTSIDE),
    CK_MUTANT(group_norm, "one-pass variance", ONE_PASS),
    CK_MUTANT(group_norm, "unbiased variance", UNBIASED),
    CK_MUTANT(group_norm, "channels dealt out in turn", WRONG_GROUP),
    CK_MUTANT(group_norm, "statistics of the batch", BATCH_STATISTICS),
    CK_MUTANT(group_norm, "last part missing in the statistics", FIRST_PARTS),
    CK_MUTANT(group_norm, "gamma forgotten", NO_GAMMA),
    CK_MUTANT(group_norm, "beta forgotten", NO_BETA),
    CK_MUTANT(group_norm, "SiLU forgotten", SILU_FORGOTTEN),
    CK_MUTANT(group_norm, "SiLU without being asked", SILU_ALWAYS),
    CK_MUTANT(group_norm, "GELU in place of SiLU", GELU),
    CK_MUTANT(group_norm, "bf16 by truncation", NORM_CUTS),
    CK_MUTANT(pixel_attention, "scores not scaled", NO_SCALE),
    CK_MUTANT(pixel_attention, "q and k swapped", SWAPPED_QK),
    CK_MUTANT(pixel_attention, "last key missing", LAST_KEY),
    CK_MUTANT(pixel_attention, "padded key counted", PADDED_KEY),
    CK_MUTANT(pixel_attention, "keys of the first picture", FIRST_PICTURE),
    CK_MUTANT(pixel_attention, "maximum not subtracted", NO_MAXIMUM),
    CK_MUTANT(pixel_attention, "sum kept at an old maximum", STALE_SUM),
    CK_MUTANT(pixel_attention, "last column missing", LAST_COLUMN),
    CK_MUTANT(pixel_attention, "bf16 by truncation", ATTENTION_CUTS),
    CK_MUTANT(to_pixels, "scale forgotten", SCALE_FORGOTTEN),
    CK_MUTANT(to_pixels, "inverse of the scale", SCALE_INVERSE),
    CK_MUTANT(to_pixels, "channels that fill up not written", FILL_FORGOTTEN),
    CK_MUTANT(to_pixels, "channels that fill up not zero", FILL_OF_LAST),
    CK_MUTANT(to_pixels, "lines and columns swapped", XY_SWAPPED),
    CK_MUTANT(to_planes, "lines and columns swapped", XY_SWAPPED),
    CK_MUTANT(to_planes, "last plane missing", LAST_PLANE),
};

ck_mutants ck_mutants_picture(void) { return (ck_mutants){list, CK_COUNT(list)}; }

/* SPDX-License-Identifier: MIT
 * Scratch of the attention over pixels: a block of queries passes over blocks of keys. K and V of a block are packed like
 * weights (panel.h): K transposed, [C][keys], V as [keys][C]. Offsets are in floats, multiples of 16. */
#ifndef DD_KERNELS_CPU_PIXEL_ATTENTION_H
#define DD_KERNELS_CPU_PIXEL_ATTENTION_H

#include "kernels/cpu/picture.h"

#define DD_PIXEL_QUERIES 64 /* of an item */
#define DD_PIXEL_KEYS 96    /* of a block: two panels */

typedef struct dd_pixel_areas {
    int64_t ld_score, ld_out;       /* row strides */
    int64_t k, v, score, out, rows; /* rows: q, then k and v of a block, made float32 from bf16 */
    int64_t floats;
} dd_pixel_areas;

static inline dd_pixel_areas dd_pixel_layout(int64_t pixels, int64_t c)
{
    const int64_t up = dd_round_up(pixels, DD_CHUNK), keys = up < DD_PIXEL_KEYS ? up : DD_PIXEL_KEYS;
    const int64_t queries = pixels < DD_PIXEL_QUERIES ? pixels : DD_PIXEL_QUERIES;
    dd_pixel_areas a = {.ld_score = dd_round_up(keys, 16), .ld_out = dd_round_up(c, 16)};
    a.v = dd_round_up(keys * c, 16);
    a.score = a.v + dd_round_up(keys * c, 16);
    a.out = a.score + queries * a.ld_score;
    a.rows = a.out + queries * a.ld_out;
    a.floats = a.rows + (queries + 2 * keys) * c;
    return a;
}

typedef struct dd_pixel_job {
    const dd_pixel_attention_args *g;
    void **scratch;
    int32_t parts; /* blocks of queries of a picture */
} dd_pixel_job;

/* Most scratch of a thread; 0 where the op is not used. */
size_t dd_cpu_pixel_attention_scratch(int64_t pixels, int64_t c);
dd_status dd_cpu_pixel_attention_run(const dd_exec *exec, const dd_pixel_attention_args *args, dd_format format,
                                     dd_task *task);

#endif

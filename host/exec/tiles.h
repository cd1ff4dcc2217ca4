/* SPDX-License-Identifier: MIT
 * Pictures put together from overlapping tiles that are blended linearly, as AutoencoderKL.tiled_decode of diffusers 0.30
 * does it: each tile fades from the blended tile above, then from the one to the left. */
#ifndef DD_HOST_EXEC_TILES_H
#define DD_HOST_EXEC_TILES_H

#include <stddef.h>

#include "host/base/status.h"

/* Latents of [h,w], decoded to `factor` pixels each, in tiles of `tile` latents that begin every `step`. */
typedef struct dd_tiling {
    int h, w, factor;
    int tile, step;
    int rows, cols; /* of tiles */
} dd_tiling;

/* overlap: share of a tile, 0 <= overlap < 1. */
dd_tiling dd_tiling_plan(int h, int w, int factor, int tile, double overlap);

/* Extents of a tile in latents: those at the end of a row or column are smaller. */
static inline int dd_tile_extent(int index, int of, const dd_tiling *t)
{
    const int left = of - index * t->step;
    return left < t->tile ? left : t->tile;
}

/* The tiles of two rows, of `planes` channels (of all pictures together). */
typedef struct dd_tile_rows {
    dd_tiling tiling;
    int planes;
    float *memory, **pointers;
    float **above, **row; /* [cols] each; they change places */
} dd_tile_rows;

size_t dd_tile_rows_bytes(const dd_tiling *tiling, int planes);
dd_status dd_tile_rows_init(dd_tile_rows *rows, const dd_tiling *tiling, int planes, dd_err *err);
void dd_tile_rows_fini(dd_tile_rows *rows);

/* Where tile (i,j) is to be decoded to: [planes, factor * its h, factor * its w]. Tiles come row by row. */
float *dd_tile_at(dd_tile_rows *rows, int i, int j);
/* Blends tile (i,j), which has been decoded, and writes its part of picture [planes, factor * h, factor * w]. */
void dd_tile_blend(dd_tile_rows *rows, int i, int j, float *picture);

#endif

/* SPDX-License-Identifier: MIT
 * What a matrix instruction multiplies, for those of a warp and of a warpgroup. */
#ifndef EMU_TILES_H
#define EMU_TILES_H

#include <stdint.h>

namespace emu
{

enum { TILE_M = 16, TILE_N = 8, TILE_K = 16 };

struct Tiles {
    double a[TILE_M][TILE_K], b[TILE_K][TILE_N];
    float c[TILE_M][TILE_N], d[TILE_M][TILE_N];
};

/* One half of a register, of an MmaType of 16 bits. */
double element(uint32_t reg, int half, int type);

/* d = a b + c over the first k, as EMU_MMA says. */
void multiply(Tiles &x, int k, int type);

} // namespace emu

#endif

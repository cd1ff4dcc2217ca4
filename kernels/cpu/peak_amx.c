/* SPDX-License-Identifier: MIT
 * Formula: c += a b, tiles of 16 x 16 x 32, over four accumulators and two of each operand. Layout: none. Threads: none.
 * Budget: all eight tiles, nothing loaded or stored inside the loop. Preconditions: AMX-BF16, permitted by the system.
 * Precision: none; all tiles hold the zeros of the configuration. */
#include "kernels/cpu/peak.h"

#include "kernels/cpu/amx_tile.h"

static void amx_peak(int64_t rounds)
{
    tile_begin();
    for (int64_t i = 0; i < rounds; i++) {
        tile_dot(0, 4, 6);
        tile_dot(1, 4, 7);
        tile_dot(2, 5, 6);
        tile_dot(3, 5, 7);
    }
    tile_end();
}

const dd_cpu_probe dd_cpu_probe_amx = {amx_peak, 4 * 16 * 16 * 32};

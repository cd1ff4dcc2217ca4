/* SPDX-License-Identifier: MIT
 * For programs that run on the emulator: what it counted since the start. Plain C. */
#ifndef EMU_STATS_H
#define EMU_STATS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct emu_stats {
    uint64_t kernels, blocks, barriers, collectives, mma, copies, copied_bytes;
    uint64_t ldmatrix_phases;    /* 8 rows of 16 bytes each */
    uint64_t ldmatrix_conflicts; /* phases that need more than one pass over the banks, once per extra pass */
    uint64_t graphs, graph_nodes, graph_launches; /* instantiated, nodes of these */
} emu_stats;

void emu_stats_get(emu_stats *out);

#ifdef __cplusplus
}
#endif

#endif

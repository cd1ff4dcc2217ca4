/* SPDX-License-Identifier: MIT
 * What each lane brings to a warp collective, and takes away. */
#ifndef EMU_COLLECTIVE_H
#define EMU_COLLECTIVE_H

#include "thread.h"

namespace emu
{

struct Share {
    void (*compute)(Share *const *shares, uint32_t lanes); /* run once, by the last to come; null: nothing to compute */
    uint64_t a;
    uint32_t b, c, lane;
    bool p;
    uint64_t out;
    bool q;
    /* matrices */
    const uint32_t *ra, *rb;
    const float *rc;
    float *rd;
    uint32_t *regs, row[4], addr;
    int n, type;
    bool trans;
};

/* Waits for the lanes of a mask. aligned: at this very instruction; otherwise at one with the same qualifiers. */
void meet(uint32_t mask, Share &share, bool aligned, bool orders, const Site *site);

} // namespace emu

#endif

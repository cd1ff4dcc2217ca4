/* SPDX-License-Identifier: MIT
 * Arena placement: largest buffer first, each at the lowest offset that is free during its whole life. */
#include "host/exec/place.h"

#include <stdlib.h>

static int by_size(const void *a, const void *b)
{
    const dd_life *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->buffer - y->buffer;
}

/* Lowest offset at which l overlaps none of the placed buffers that live at the same time. */
static int64_t find_offset(const dd_life *lives, int n_placed, const dd_life *l)
{
    int64_t at = 0;
    for (int again = 1; again;) {
        again = 0;
        for (int i = 0; i < n_placed; i++) {
            const dd_life *p = &lives[i];
            if (p->last < l->first || l->last < p->first) continue;
            if (at + (int64_t)l->bytes <= p->offset || p->offset + (int64_t)p->bytes <= at) continue;
            at = p->offset + (int64_t)p->bytes;
            again = 1;
        }
    }
    return at;
}

void dd_lives_place(dd_life *lives, int n, size_t *arena_bytes)
{
    qsort(lives, (size_t)n, sizeof *lives, by_size);
    *arena_bytes = 0;
    for (int i = 0; i < n; i++) {
        lives[i].offset = find_offset(lives, i, &lives[i]);
        const size_t end = (size_t)lives[i].offset + lives[i].bytes;
        if (end > *arena_bytes) *arena_bytes = end;
    }
}

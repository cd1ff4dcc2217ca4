/* SPDX-License-Identifier: MIT
 * Places of buffers in one arena by lifetime: buffers that are never alive together share memory. */
#ifndef DD_HOST_EXEC_PLACE_H
#define DD_HOST_EXEC_PLACE_H

#include <stddef.h>
#include <stdint.h>

typedef struct dd_life {
    int buffer;
    int first, last; /* ops that touch it */
    size_t bytes;    /* a multiple of the alignment */
    int64_t offset;  /* out */
} dd_life;

/* Sorts and places them; *arena_bytes: what they take together. */
void dd_lives_place(dd_life *lives, int n, size_t *arena_bytes);

#endif

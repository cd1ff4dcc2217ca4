/* SPDX-License-Identifier: MIT
 * The residual stream of a model with depth-weighted averages: which buffer it is in, and what of it is kept for later
 * averages. Without averages it stays in one buffer.
 *
 * A block works in place. Where its output X is read again, what follows goes on in another buffer: the average writes Y
 * there, or a copy of X where there is no average. So X stays where the block has left it, and its memory is free after its
 * last reader. Nothing is copied but X where no average follows it, and the embedded tokens. */
#ifndef DD_HOST_MODEL_HISTORY_H
#define DD_HOST_MODEL_HISTORY_H

#include "host/model/builder.h"

typedef struct dd_history {
    dd_builder *b;
    int x;       /* buffer of the residual stream */
    int *buffer; /* [units + 1] that X of a unit is in; 0 are the embedded tokens */
    int *last;   /* [units + 1] unit after which it is averaged for the last time; 0: never after its own unit */
    int *alphas; /* [units + 1] consts, -1: no average */
} dd_history;

/* Reads the weights. On failure b->st says so; dd_history_close all the same. */
void dd_history_open(dd_history *h, dd_builder *b, int x);
/* To be called with the number of blocks built so far, from 0 on. */
void dd_history_after(dd_history *h, int blocks);
void dd_history_close(dd_history *h);

#endif

/* SPDX-License-Identifier: MIT
 * The tensors of a DiT or DyDiT checkpoint under their official names, with shapes: stated once, for the builder and
 * for `dydit inspect`. Names: facebookresearch/DiT models.py and the DyDiT release. */
#ifndef DD_HOST_MODEL_KEYS_H
#define DD_HOST_MODEL_KEYS_H

#include "host/model/config.h"

typedef struct dd_key {
    char name[72];
    int rank;
    int64_t shape[4];
    bool router; /* part of a timestep or token router */
} dd_key;

/* *keys [*n]: the caller frees it. */
dd_status dd_dit_keys(const dd_config *cfg, dd_key **keys, int *n, dd_err *err);

const dd_key *dd_key_find(const dd_key *keys, int n, const char *name);

/* True for a name that lies in the name space of the network (blocks., x_embedder., dwa_modules. …), so that an
 * unexpected one means another architecture; other names (golden., ema notes) are none of our business. */
bool dd_key_is_network(const char *name);

#endif

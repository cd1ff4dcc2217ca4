/* SPDX-License-Identifier: MIT
 * Official tensor names and shapes of DiT and DyDiT. */
#include "host/model/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/model/dwa.h"

#define KEYS_OUTSIDE_BLOCKS 13
#define KEYS_PER_BLOCK 19

static void add(dd_key *keys, int *n, bool router, int rank, int64_t d0, int64_t d1, const char *name)
{
    dd_key *k = &keys[(*n)++];
    *k = (dd_key){.rank = rank, .shape = {d0, d1}, .router = router};
    snprintf(k->name, sizeof k->name, "%s", name);
}

/* `prefix`weight [out,in] and `prefix`bias [out] */
static void add_linear(dd_key *keys, int *n, bool router, int64_t out, int64_t in, const char *prefix)
{
    char name[72];
    snprintf(name, sizeof name, "%sweight", prefix);
    add(keys, n, router, 2, out, in, name);
    snprintf(name, sizeof name, "%sbias", prefix);
    add(keys, n, router, 1, out, 0, name);
}

static void add_block(dd_key *keys, int *n, const dd_config *c, int i)
{
    const int64_t d = c->hidden_size, m = c->mlp_hidden, j = c->router_hidden, units = c->num_heads - 1;
    const struct {
        const char *name;
        int64_t out, in;
        bool router;
    } part[] = {
        {"attn.qkv.", 3 * d, d, false},
        {"attn.proj.", d, d, false},
        {"mlp.fc1.", m, d, false},
        {"mlp.fc2.", d, m, false},
        {"adaLN_modulation.1.", 6 * d, d, false},
        {"attn_rate.router.", units, d, true},
        {"mlp_rate.router.", units, d, true},
        {"token_selection.mlp_head.0.", j, d, true},
        {"token_selection.mlp_head.2.", 1, j, true},
    };
    for (size_t p = 0; p < sizeof part / sizeof part[0]; p++) {
        if (part[p].router && !c->dynamic) continue;
        char prefix[64];
        snprintf(prefix, sizeof prefix, "blocks.%d.%s", i, part[p].name);
        add_linear(keys, n, part[p].router, part[p].out, part[p].in, prefix);
    }
}

dd_status dd_dit_keys(const dd_config *c, dd_key **keys, int *n, dd_err *err)
{
    const int64_t d = c->hidden_size, pp = (int64_t)c->patch_size * c->patch_size;
    dd_key *k = calloc((size_t)(KEYS_OUTSIDE_BLOCKS + KEYS_PER_BLOCK * c->depth), sizeof *k);
    if (!k) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for the list of tensor names");
    *n = 0;
    add(k, n, false, 4, d, c->in_channels, "x_embedder.proj.weight");
    k[0].shape[2] = k[0].shape[3] = c->patch_size;
    add(k, n, false, 1, d, 0, "x_embedder.proj.bias");
    add(k, n, false, 3, 1, c->tokens, "pos_embed");
    k[2].shape[2] = d;
    add_linear(k, n, false, d, 256, "t_embedder.mlp.0.");
    add_linear(k, n, false, d, d, "t_embedder.mlp.2.");
    add(k, n, false, 2, (int64_t)c->num_classes + 1, d, "y_embedder.embedding_table.weight");
    for (int i = 0; i < c->depth; i++) add_block(k, n, c, i);
    for (int i = 1; i <= dd_dwa_units(c); i++) {
        char name[DD_DWA_NAME];
        if (!dd_dwa_averages(c, i)) continue;
        dd_dwa_tensor(c, i, name);
        add(k, n, false, 2, 1, dd_dwa_weights(c, i), name);
    }
    add_linear(k, n, false, pp * c->out_channels, d, "final_layer.linear.");
    add_linear(k, n, false, 2 * d, d, "final_layer.adaLN_modulation.1.");
    *keys = k;
    return DD_OK;
}

const dd_key *dd_key_find(const dd_key *keys, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(keys[i].name, name) == 0) return &keys[i];
    return NULL;
}

bool dd_key_is_network(const char *name)
{
    static const char *const space[] = {"blocks.",      "x_embedder.", "t_embedder.",        "y_embedder.",
                                        "final_layer.", "pos_embed",   "dwa_modules.",       "transformer_blocks.",
                                        "proj_out_",    "decoder.",    "first_stage_model.", "weights."};
    for (size_t i = 0; i < sizeof space / sizeof space[0]; i++)
        if (strncmp(name, space[i], strlen(space[i])) == 0) return true;
    return false;
}

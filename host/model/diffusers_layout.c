/* SPDX-License-Identifier: MIT
 * Names and the table of positions. */
#include "host/model/diffusers_layout.h"

#include <math.h>
#include <string.h>

const dd_diffusers_pair dd_diffusers_linears[DD_DIFFUSERS_LINEARS] = {
    {"pos_embed.proj", "x_embedder.proj"},
    {"proj_out_1", "final_layer.adaLN_modulation.1"},
    {"proj_out_2", "final_layer.linear"},
};

const dd_diffusers_pair dd_diffusers_block_linears[DD_DIFFUSERS_BLOCK_LINEARS] = {
    {"norm1.linear", "adaLN_modulation.1"},
    {"attn1.to_out.0", "attn.proj"},
    {"ff.net.0.proj", "mlp.fc1"},
    {"ff.net.2", "mlp.fc2"},
};

const dd_diffusers_pair dd_diffusers_repeated[DD_DIFFUSERS_REPEATED] = {
    {"norm1.emb.timestep_embedder.linear_1.weight", "t_embedder.mlp.0.weight"},
    {"norm1.emb.timestep_embedder.linear_1.bias", "t_embedder.mlp.0.bias"},
    {"norm1.emb.timestep_embedder.linear_2.weight", "t_embedder.mlp.2.weight"},
    {"norm1.emb.timestep_embedder.linear_2.bias", "t_embedder.mlp.2.bias"},
    {"norm1.emb.class_embedder.embedding_table.weight", "y_embedder.embedding_table.weight"},
};

const char *const dd_diffusers_kinds[2] = {"weight", "bias"};

static int64_t side(const dd_diffusers_config *c) { return c->sample_size / c->patch_size; }

int64_t dd_diffusers_positions_count(const dd_diffusers_config *c)
{
    return side(c) * side(c) * c->heads * c->head_dim;
}

/* Sines and cosines of the column, then of the row, of each patch: D/4 frequencies 10000^(-4i/D), in float64
 * (get_2d_sincos_pos_embed of both projects). */
void dd_diffusers_positions(const dd_diffusers_config *c, float *table)
{
    const int64_t n = side(c), d = c->heads * c->head_dim, half = d / 2, quarter = d / 4;
    for (int64_t i = 0; i < quarter; i++) { /* of the columns, in the first row */
        const double w = 1.0 / pow(10000.0, (double)i / ((double)d / 4.0));
        for (int64_t at = 0; at < n; at++) {
            table[at * d + i] = (float)sin((double)at * w);
            table[at * d + quarter + i] = (float)cos((double)at * w);
        }
    }
    for (int64_t k = 0; k < n * n; k++) { /* those of the first row stay as they are */
        memmove(table + k * d + half, table + k / n * d, (size_t)half * sizeof *table);
        memmove(table + k * d, table + k % n * d, (size_t)half * sizeof *table);
    }
}

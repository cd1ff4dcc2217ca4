/* SPDX-License-Identifier: MIT
 * What a geometry promises that was accepted, for fuzz targets. */
#ifndef DD_TESTS_FUZZ_GEOMETRY_H
#define DD_TESTS_FUZZ_GEOMETRY_H

#include "host/model/config.h"
#include "tests/fuzz/fuzz_json.h"

static void use_config(const dd_config *c, const dd_tensors *f)
{
    const dd_tensor *pos = dd_tensors_find(f, "pos_embed");
    require(c->tokens * c->hidden_size == pos->count, "tokens and width are those of the tensors");
    require(c->num_heads > 0 && c->hidden_size == c->num_heads * c->head_dim, "heads divide the width");
    require(c->cfg_channels >= 1 && c->cfg_channels <= c->in_channels, "guided channels are there");
    require(c->mlp_norm_eps > 0 && c->mlp_norm_eps <= 1, "the epsilon is one");
    for (int i = 0; c->labels && i < c->num_classes; i++) require(c->labels[i] != NULL, "each class has a label");
}

/* True: the settings fit. */
static bool configure(const dd_tensors *f)
{
    dd_err err = {0};
    dd_config c;
    const dd_status st = dd_config_from_file(&c, f, NULL, &err);
    require((st == DD_OK) == (err.status == DD_OK), "an error is recorded exactly on failure");
    if (st != DD_OK) return false;
    use_config(&c, f);
    dd_config_fini(&c);
    return true;
}

#endif

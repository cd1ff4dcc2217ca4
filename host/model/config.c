/* SPDX-License-Identifier: MIT
 * Derived geometry, its rules, and the presets of DiT (Peebles & Xie 2022, arXiv 2212.09748, table 1). */
#include "host/model/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ops.h"

static const struct {
    const char *size;
    int hidden, depth, heads;
} presets[] = {{"XL", 1152, 28, 16}, {"L", 1024, 24, 16}, {"B", 768, 12, 12}, {"S", 384, 12, 6}};

enum { N_PRESETS = sizeof presets / sizeof presets[0] };

dd_status dd_config_preset(dd_config *out, const char *name, dd_err *err)
{
    const char *p = name;
    const bool dynamic = strncmp(p, "Dy", 2) == 0;
    if (dynamic) p += 2;
    if (strncmp(p, "DiT-", 4) == 0) {
        p += 4;
        for (int i = 0; i < N_PRESETS; i++) {
            const size_t n = strlen(presets[i].size);
            if (strncmp(p, presets[i].size, n) != 0 || p[n] != '/') continue;
            const char *patch = p + n + 1;
            if (strcmp(patch, "2") != 0 && strcmp(patch, "4") != 0 && strcmp(patch, "8") != 0) continue;
            memset(out, 0, sizeof *out);
            out->hidden_size = presets[i].hidden;
            out->depth = presets[i].depth;
            out->num_heads = presets[i].heads;
            out->patch_size = patch[0] - '0';
            out->mlp_hidden = 4 * presets[i].hidden;
            out->dynamic = dynamic;
            return DD_OK;
        }
    }
    return DD_FAIL(err, DD_ERR_ARG,
                   "model '%s' is not known: DiT-S, DiT-B, DiT-L, DiT-XL or DyDiT-…, with /2, /4 or /8", name);
}

static void name_arch(dd_config *c)
{
    const char *kind = c->dynamic ? "DyDiT" : "DiT";
    for (int i = 0; i < N_PRESETS; i++)
        if (c->hidden_size == presets[i].hidden && c->depth == presets[i].depth && c->num_heads == presets[i].heads &&
            c->mlp_hidden == 4 * c->hidden_size) {
            snprintf(c->arch, sizeof c->arch, "%s-%s/%d", kind, presets[i].size, c->patch_size);
            return;
        }
    snprintf(c->arch, sizeof c->arch, "%s-d%d-l%d-h%d/%d", kind, c->hidden_size, c->depth, c->num_heads, c->patch_size);
}

static dd_status in_range(const char *what, const char *field, int value, int lo, int hi, dd_err *err)
{
    if (value >= lo && value <= hi) return DD_OK;
    return DD_FAIL(err, DD_ERR_FORMAT, "%s: %s is %d, allowed are %d to %d", what, field, value, lo, hi);
}

static dd_status check_units(const dd_config *c, const char *what, dd_err *err)
{
    if (c->hidden_size % c->num_heads)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: hidden_size %d is not divisible by num_heads %d", what, c->hidden_size,
                       c->num_heads);
    if (c->mlp_hidden % c->num_heads)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: %d MLP channels cannot be cut into %d equal groups (num_heads)", what,
                       c->mlp_hidden, c->num_heads);
    if ((c->hidden_size / c->num_heads) % DD_CHUNK)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: head size %d is no multiple of %d", what,
                       c->hidden_size / c->num_heads, DD_CHUNK);
    if (c->hidden_size / c->num_heads > 128)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: head size %d is larger than 128", what,
                       c->hidden_size / c->num_heads);
    if ((c->mlp_hidden / c->num_heads) % DD_CHUNK)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: MLP group size %d is no multiple of %d", what,
                       c->mlp_hidden / c->num_heads, DD_CHUNK);
    return DD_OK;
}

dd_status dd_config_derive(dd_config *c, const char *what, dd_err *err)
{
    DD_TRY(in_range(what, "hidden_size", c->hidden_size, 8, DD_MAX_WIDTH, err));
    DD_TRY(in_range(what, "depth", c->depth, 1, 256, err));
    DD_TRY(in_range(what, "num_heads", c->num_heads, 1, DD_MAX_UNITS, err));
    DD_TRY(in_range(what, "patch_size", c->patch_size, 1, 64, err));
    DD_TRY(in_range(what, "input_size", c->input_size, 1, 2048, err));
    DD_TRY(in_range(what, "in_channels", c->in_channels, 1, 64, err));
    DD_TRY(in_range(what, "num_classes", c->num_classes, 1, 1000000, err));
    DD_TRY(in_range(what, "MLP channels", c->mlp_hidden, 8, 1 << 18, err));
    DD_TRY(in_range(what, "cfg_channels", c->cfg_channels, 1, c->in_channels, err));
    if (c->input_size % c->patch_size)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: input_size %d is not divisible by patch_size %d", what, c->input_size,
                       c->patch_size);
    const int grid = c->input_size / c->patch_size;
    DD_TRY(in_range(what, "tokens of a side", grid, 1, DD_MAX_SIDE_TOKENS, err));
    DD_TRY(check_units(c, what, err));
    if (c->dynamic && c->hidden_size < 16)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: hidden_size %d is too small for a token router", what, c->hidden_size);
    c->tokens = grid * grid;
    c->head_dim = c->hidden_size / c->num_heads;
    c->group_size = c->mlp_hidden / c->num_heads;
    c->out_channels = c->in_channels * (c->learn_sigma ? 2 : 1);
    c->router_hidden = c->dynamic ? c->hidden_size / 16 : 0;
    c->latent_count = (int64_t)c->in_channels * c->input_size * c->input_size;
    name_arch(c);
    return DD_OK;
}

void dd_config_fini(dd_config *c)
{
    if (!c || !c->labels) return;
    for (int i = 0; i < c->num_classes; i++) free(c->labels[i]);
    free(c->labels);
    c->labels = NULL;
}

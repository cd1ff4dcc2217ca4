/* SPDX-License-Identifier: MIT
 * Random weights, spread so that values neither die out nor explode on their way through the network. Every tensor has
 * a stream of its own, named by seed and tensor, so threads could fill them in any order. */
#include "host/model/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/str.h"
#include "host/model/dwa.h"
#include "host/model/keys.h"

/* SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Near enough to normal for weights: the sum of four 16-bit uniforms, scaled to variance 1. */
static float normal(uint64_t *state)
{
    const uint64_t u = next(state);
    const int32_t sum = (int32_t)(u & 0xffff) + (int32_t)(u >> 16 & 0xffff) + (int32_t)(u >> 32 & 0xffff) +
                        (int32_t)(u >> 48);
    return (float)(sum - 2 * 0xffff) * (1.7320508f / 65536.0f);
}

static bool ends_with(const char *name, const char *tail)
{
    const size_t n = strlen(name), k = strlen(tail);
    return n >= k && strcmp(name + n - k, tail) == 0;
}

/* Standard deviation of a tensor's values: 1/sqrt(inputs) for matrices, small elsewhere. */
static double spread(const dd_key *key)
{
    double inputs = 1;
    for (int i = 1; i < key->rank; i++) inputs *= (double)key->shape[i];
    if (strstr(key->name, "adaLN")) return key->rank > 1 ? 0.3 / sqrt(inputs) : 0.1;
    if (strstr(key->name, "_rate.router")) return key->rank > 1 ? 0.05 / sqrt(inputs) : 0;
    if (key->rank == 1) return 0.02;
    const bool table = strcmp(key->name, "pos_embed") == 0 ||
                       strcmp(key->name, "y_embedder.embedding_table.weight") == 0;
    return table ? 1.0 : 1.0 / sqrt(inputs);
}

static bool kept_float32(const dd_key *key)
{
    return key->rank == 1 || key->router || strncmp(key->name, "t_embedder", 10) == 0 ||
           strcmp(key->name, "pos_embed") == 0 || strncmp(key->name, "dwa_modules.", 12) == 0;
}

static void fill(const dd_key *key, int64_t count, void *data, const dd_random_spec *spec)
{
    const float sd = (float)spread(key);
    const bool wide = kept_float32(key);
    uint64_t state = dd_hash(DD_HASH_INIT ^ spec->seed, key->name, strlen(key->name));
    float *f = data;
    uint16_t *h = data;
    for (int64_t i = 0; i < count; i++) {
        const float v = sd * normal(&state);
        if (wide) f[i] = v;
        else h[i] = dd_f32_to_bf16(v);
    }
    if (strstr(key->name, "_rate.router.bias")) { /* units 1.. : unit 0 is always on */
        const int64_t on = llround(spec->unit_share * (double)(count + 1)) - 1;
        for (int64_t i = 0; i < count; i++) f[i] = (i * 7 + 3) % count < on ? 1.0f : -1.0f;
    }
    if (strncmp(key->name, "dwa_modules.", 12) == 0) { /* mostly the newest output */
        for (int64_t i = 0; i < count; i++) f[i] *= 0.2f;
        f[count - 1] += 0.8f;
    }
    if (ends_with(key->name, "mlp_head.2.bias")) f[0] = (float)spec->token_bias;
}

static dd_status geometry(dd_config *c, const dd_random_spec *spec, dd_err *err)
{
    DD_TRY(dd_config_preset(c, spec->preset, err));
    c->input_size = spec->input_size ? spec->input_size : 32;
    c->in_channels = 4;
    c->num_classes = 1000;
    c->cfg_channels = 3;
    c->learn_sigma = true;
    if (spec->dwa_dilation > 0 && spec->dwa_period > 0)
        c->dwa = (dd_dwa){DD_DWA_PACKAGE, 1, spec->dwa_dilation, spec->dwa_period};
    const dd_status st = dd_config_derive(c, spec->preset, err);
    if (st == DD_ERR_FORMAT && err) err->status = DD_ERR_ARG; /* no file is to blame */
    return st == DD_ERR_FORMAT ? DD_ERR_ARG : st;
}

dd_status dd_random_file(dd_tensors **out, const dd_random_spec *given, dd_err *err)
{
    dd_random_spec spec = *given;
    dd_config c;
    dd_key *keys = NULL;
    int n = 0;
    char heads[16], dilation[16], name[80];
    *out = NULL;
    if (spec.unit_share == 0) spec.unit_share = 0.62;
    DD_TRY(geometry(&c, &spec, err));
    DD_TRY(dd_dit_keys(&c, &keys, &n, err));
    snprintf(heads, sizeof heads, "%d", c.num_heads);
    snprintf(dilation, sizeof dilation, "%d", c.dwa.dilation);
    snprintf(name, sizeof name, "random %s", c.arch);
    const dd_text_pair meta[] = {
        {"num_heads", heads}, {"note", "random weights, for timing only"}, {"dwa_dilation", dilation}};
    const int n_meta = dd_dwa_units(&c) ? 3 : 2;
    dd_tensor_entry *list = calloc((size_t)n, sizeof *list);
    dd_status st = list ? DD_OK : DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", name);
    for (int i = 0; list && i < n; i++) {
        list[i] = (dd_tensor_entry){
            .name = keys[i].name, .dtype = kept_float32(&keys[i]) ? DD_F32 : DD_BF16, .rank = keys[i].rank};
        memcpy(list[i].shape, keys[i].shape, sizeof keys[i].shape);
    }
    if (st == DD_OK) st = dd_tensors_new(out, name, list, n, meta, n_meta, err);
    for (int i = 0; st == DD_OK && i < n; i++)
        fill(&keys[i], dd_tensors_find(*out, keys[i].name)->count, dd_tensors_fill(*out, keys[i].name), &spec);
    free(list);
    free(keys);
    return st;
}

dd_status dd_random_model(dd_model **out, const dd_random_spec *spec, dd_err *err)
{
    dd_tensors *file = NULL;
    *out = NULL;
    DD_TRY(dd_random_file(&file, spec, err));
    DD_TRY(dd_model_adopt(out, file, spec->preset, err));
    (*out)->random = true;
    return DD_OK;
}

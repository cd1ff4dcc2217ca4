/* SPDX-License-Identifier: MIT
 * Writes a checkpoint with the shapes of a published model and random weights, for timing: no picture comes out of it.
 *
 *     random_model OUT.safetensors DyDiT-XL/2 [INPUT_SIZE [UNIT_SHARE [TOKEN_BIAS]]]
 *
 * UNIT_SHARE: share of heads and MLP groups that the timestep routers switch on (default 0.62); TOKEN_BIAS moves the
 * token routers, whose share is about a half at 0. Matrices are stored as bf16, vectors and routers as float32. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/model/keys.h"

static uint64_t state = 0x9e3779b97f4a7c15u;

static double uniform(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) * 0x1p-53;
}

/* Near enough to normal for weights: the sum of four uniforms, scaled to variance 1. */
static double normal(void) { return (uniform() + uniform() + uniform() + uniform() - 2.0) * 1.7320508; }

static int ends_with(const char *name, const char *tail)
{
    const size_t n = strlen(name), k = strlen(tail);
    return n >= k && strcmp(name + n - k, tail) == 0;
}

/* Spread of a tensor's values: 1/sqrt(inputs) for matrices, small elsewhere. */
static double spread(const dd_key *key)
{
    double inputs = 1;
    for (int i = 1; i < key->rank; i++) inputs *= (double)key->shape[i];
    if (strstr(key->name, "adaLN")) return key->rank > 1 ? 0.3 / sqrt(inputs) : 0.1;
    if (strstr(key->name, "_rate.router")) return key->rank > 1 ? 0.05 / sqrt(inputs) : 0;
    if (key->rank == 1) return 0.02;
    return strcmp(key->name, "pos_embed") == 0 || strcmp(key->name, "y_embedder.embedding_table.weight") == 0
               ? 1.0
               : 1.0 / sqrt(inputs);
}

static double value(const dd_key *key, int64_t i, double sd, double unit_share, double token_bias)
{
    if (strstr(key->name, "_rate.router.bias")) { /* units 1.. : unit 0 is always on */
        const int64_t units = key->shape[0] + 1, on = llround(unit_share * (double)units) - 1;
        return (i * 7 + 3) % key->shape[0] < on ? 1.0 : -1.0;
    }
    if (ends_with(key->name, "mlp_head.2.bias")) return token_bias;
    return sd * normal();
}

static void *fill(const dd_key *key, int64_t count, dd_dtype dtype, double unit_share, double token_bias)
{
    const double sd = spread(key);
    unsigned char *data = malloc((size_t)count * dd_dtype_bytes(dtype));
    for (int64_t i = 0; data && i < count; i++) {
        const float v = (float)value(key, i, sd, unit_share, token_bias);
        const uint16_t h = dd_f32_to_bf16(v);
        if (dtype == DD_BF16) memcpy(data + (size_t)i * sizeof h, &h, sizeof h);
        else memcpy(data + (size_t)i * sizeof v, &v, sizeof v);
    }
    return data;
}

static int write_model(const char *path, const dd_config *c, double unit_share, double token_bias)
{
    dd_err err = {0};
    dd_key *keys = NULL;
    int n = 0;
    char heads[16];
    if (dd_dit_keys(c, &keys, &n, &err) != DD_OK) return 1;
    dd_st_entry *list = calloc((size_t)n, sizeof *list);
    int ok = list != NULL;
    for (int i = 0; ok && i < n; i++) {
        int64_t count = 1;
        for (int d = 0; d < keys[i].rank; d++) count *= keys[i].shape[d];
        const int vector = keys[i].rank == 1 || keys[i].router || strncmp(keys[i].name, "t_embedder", 10) == 0 ||
                           strcmp(keys[i].name, "pos_embed") == 0;
        list[i] = (dd_st_entry){.name = keys[i].name, .dtype = vector ? DD_F32 : DD_BF16, .rank = keys[i].rank};
        memcpy(list[i].shape, keys[i].shape, sizeof keys[i].shape);
        list[i].data = fill(&keys[i], count, list[i].dtype, unit_share, token_bias);
        ok = list[i].data != NULL;
    }
    snprintf(heads, sizeof heads, "%d", c->num_heads);
    const dd_st_pair meta[] = {{"num_heads", heads}, {"note", "random weights, for timing only"}};
    if (ok && dd_st_write(path, list, n, meta, 2, &err) != DD_OK) ok = 0;
    if (!ok) fprintf(stderr, "random_model: %s\n", err.text[0] ? err.text : "out of memory");
    for (int i = 0; list && i < n; i++) free((void *)(uintptr_t)list[i].data);
    free(list);
    free(keys);
    return !ok;
}

int main(int argc, char **argv)
{
    dd_err err = {0};
    dd_config c;
    if (argc < 3) {
        fprintf(stderr, "usage: random_model OUT.safetensors MODEL [INPUT_SIZE [UNIT_SHARE [TOKEN_BIAS]]]\n");
        return 2;
    }
    if (dd_config_preset(&c, argv[2], &err) != DD_OK) {
        fprintf(stderr, "random_model: %s\n", err.text);
        return 2;
    }
    c.input_size = argc > 3 ? atoi(argv[3]) : 32;
    c.in_channels = 4;
    c.num_classes = 1000;
    c.cfg_channels = 3;
    c.learn_sigma = true;
    if (dd_config_derive(&c, argv[2], &err) != DD_OK) {
        fprintf(stderr, "random_model: %s\n", err.text);
        return 2;
    }
    return write_model(argv[1], &c, argc > 4 ? atof(argv[4]) : 0.62, argc > 5 ? atof(argv[5]) : 0.0);
}

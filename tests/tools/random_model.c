/* SPDX-License-Identifier: MIT
 * Writes a checkpoint with the shapes of a published model and random weights (host/model/random.h), for timing other
 * programs on the same shapes and for tests.
 *
 *     random_model OUT.safetensors DyDiT-XL/2 [INPUT_SIZE [UNIT_SHARE [TOKEN_BIAS [DILATION PERIOD]]]]
 *
 * UNIT_SHARE: share of heads and MLP groups that the timestep routers switch on (default 0.62); TOKEN_BIAS moves the
 * token routers, whose share is about a half at 0. DILATION and PERIOD: with depth-weighted averages (4 5: "4x5"). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/safetensors.h"
#include "host/model/random.h"

static dd_status write_file(const char *path, const dd_tensors *file, dd_err *err)
{
    const int n = dd_tensors_count(file), n_meta = dd_tensors_meta_count(file);
    dd_tensor_entry *list = calloc((size_t)n + 1, sizeof *list);
    dd_text_pair *meta = calloc((size_t)n_meta + 1, sizeof *meta);
    dd_status st = list && meta ? DD_OK : DD_FAIL(err, DD_ERR_NOMEM, "out of memory");
    for (int i = 0; st == DD_OK && i < n; i++) {
        const dd_tensor *t = dd_tensors_at(file, i);
        list[i] = (dd_tensor_entry){.name = t->name, .dtype = t->dtype, .rank = t->rank, .data = t->data};
        memcpy(list[i].shape, t->shape, sizeof t->shape);
    }
    for (int i = 0; st == DD_OK && i < n_meta; i++) dd_tensors_meta_at(file, i, &meta[i].key, &meta[i].value);
    if (st == DD_OK) st = dd_safetensors_write(path, list, n, meta, n_meta, err);
    free(list);
    free(meta);
    return st;
}

int main(int argc, char **argv)
{
    dd_err err = {0};
    dd_tensors *file = NULL;
    if (argc < 3) {
        fprintf(stderr, "usage: random_model OUT.safetensors MODEL [INPUT_SIZE [UNIT_SHARE [TOKEN_BIAS "
                        "[DILATION PERIOD]]]]\n");
        return 2;
    }
    const dd_random_spec spec = {.preset = argv[2],
                                 .input_size = argc > 3 ? atoi(argv[3]) : 0,
                                 .unit_share = argc > 4 ? atof(argv[4]) : 0,
                                 .token_bias = argc > 5 ? atof(argv[5]) : 0,
                                 .dwa_dilation = argc > 7 ? atoi(argv[6]) : 0,
                                 .dwa_period = argc > 7 ? atoi(argv[7]) : 0};
    dd_status st = dd_random_file(&file, &spec, &err);
    if (st == DD_OK) st = write_file(argv[1], file, &err);
    dd_tensors_close(&file);
    if (st == DD_OK) return 0;
    fprintf(stderr, "random_model: %s\n", err.text);
    return st == DD_ERR_ARG ? 2 : 1;
}

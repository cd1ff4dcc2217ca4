/* SPDX-License-Identifier: MIT
 * npz_fill OUT.npz N HEIGHT WIDTH: a set of N made-up pictures, to try sizes that no model draws in time. */
#include <stdio.h>
#include <stdlib.h>

#include "host/io/npz_file.h"

#define BATCH 64

static dd_status fill(const dd_npz_begin *b, dd_err *err)
{
    const size_t each = (size_t)dd_npz_image_bytes(&b->shape);
    dd_npz_file *f = NULL;
    uint8_t *pictures = malloc(BATCH * each);
    dd_status st = pictures ? dd_npz_file_open(&f, b, err) : DD_FAIL(err, DD_ERR_NOMEM, "out of memory for pictures");
    for (int64_t i = 0; st == DD_OK && i < b->shape.n; i += BATCH) {
        const int64_t left = b->shape.n - i;
        for (size_t k = 0; k < BATCH * each; k++) pictures[k] = (uint8_t)((size_t)i + k / each + k % each);
        st = dd_npz_file_append(f, pictures, left < BATCH ? left : BATCH, err);
    }
    if (st == DD_OK) st = dd_npz_file_commit(f, err);
    dd_npz_file_close(&f);
    free(pictures);
    return st;
}

int main(int argc, char **argv)
{
    dd_err err = {0};
    if (argc != 5) {
        fprintf(stderr, "usage: npz_fill OUT.npz N HEIGHT WIDTH\n");
        return 2;
    }
    const dd_npz_shape shape = {strtoll(argv[2], NULL, 10), atoi(argv[3]), atoi(argv[4])};
    const dd_npz_begin begin = {argv[1], shape, json_object(), false};
    const dd_status st = fill(&begin, &err);
    json_decref(begin.settings);
    if (st != DD_OK) fprintf(stderr, "npz_fill: %s\n", err.text);
    return st == DD_OK ? 0 : 1;
}

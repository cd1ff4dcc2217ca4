/* SPDX-License-Identifier: MIT
 * npz_fill OUT.npz N HEIGHT WIDTH: a set of N made-up pictures, to try sizes that no model draws in time. */
#include <stdio.h>
#include <stdlib.h>

#include "host/io/npz_file.h"

static dd_status fill(const dd_npz_begin *b, dd_err *err)
{
    const size_t bytes = (size_t)dd_npz_image_bytes(&b->shape);
    dd_npz_file *f = NULL;
    uint8_t *picture = malloc(bytes);
    dd_status st = picture ? dd_npz_file_open(&f, b, err) : DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a picture");
    for (int64_t i = 0; st == DD_OK && i < b->shape.n; i++) {
        for (size_t k = 0; k < bytes; k++) picture[k] = (uint8_t)((size_t)i + k);
        st = dd_npz_file_append(f, picture, 1, err);
    }
    if (st == DD_OK) st = dd_npz_file_commit(f, err);
    dd_npz_file_close(&f);
    free(picture);
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

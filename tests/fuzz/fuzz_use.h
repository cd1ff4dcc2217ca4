/* SPDX-License-Identifier: MIT
 * What readers of tensors promise, for fuzz targets. */
#ifndef DD_TESTS_FUZZ_USE_H
#define DD_TESTS_FUZZ_USE_H

#include "host/io/tensors.h"
#include "tests/fuzz/fuzz_driver.h"

static void use_tensor(const dd_tensors *f, const dd_tensor *t)
{
    require(t->name && *t->name && dd_tensors_find(f, t->name) == t, "each tensor is found by its name");
    require(t->rank >= 0 && t->rank <= DD_TENSOR_MAX_RANK, "rank is bounded");
    int64_t count = 1;
    for (int i = 0; i < t->rank; i++) {
        require(t->shape[i] >= 0, "extents are not negative");
        count *= t->shape[i]; /* the reader promised that this fits; the sanitizer watches */
    }
    require(count == t->count, "count is the product of the shape");
    require((t->count == 0) == (t->data == NULL), "data is NULL exactly for empty tensors");
    if (t->known) require(t->bytes == (size_t)t->count * dd_dtype_bytes(t->dtype), "bytes fit the dtype");
    const unsigned char *p = t->data;
    volatile unsigned char last = 0;
    for (size_t i = 0; i < t->bytes; i++) last = p[i]; /* every byte is mapped */
    (void)last;
    float *values = malloc(((size_t)t->count + 1) * sizeof *values);
    require(values, "memory for the values");
    dd_err err = {0};
    const dd_status st = dd_tensors_read_f32(f, t, values, &err);
    require((st == DD_OK) == (err.status == DD_OK), "an error is recorded exactly on failure");
    for (int64_t i = 0; st == DD_OK && i < t->count; i++) require(dd_f32_finite(values[i]), "values read are finite");
    free(values);
}

/* All tensors; their bytes together. */
static size_t use_tensors(const dd_tensors *f)
{
    size_t bytes = 0;
    for (int i = 0; i < dd_tensors_count(f); i++) {
        use_tensor(f, dd_tensors_at(f, i));
        bytes += dd_tensors_at(f, i)->bytes;
        if (i)
            require(strcmp(dd_tensors_at(f, i - 1)->name, dd_tensors_at(f, i)->name) < 0, "tensors are sorted by name");
    }
    return bytes;
}

static void use_result(dd_status st, const dd_tensors *f, const dd_err *err, const char *path)
{
    require((st == DD_OK) == (f != NULL), "a file exactly on success");
    if (st != DD_OK) require(err->status == st && strstr(err->text, path), "errors name the file");
}

#endif

/* SPDX-License-Identifier: MIT
 * What the cases of the ops on pictures share. */
#ifndef DD_TESTS_CHECKKERNEL_PICTURE_H
#define DD_TESTS_CHECKKERNEL_PICTURE_H

#include "tests/checkkernel/check.h"

/* NULL, or why an implementation does not take rows of pixels in that format. */
const char *ck_pixels_unsupported(const ck_impl *impl, dd_format format);

/* Pixels [rows, c] in any row-major format: an input filled with a pattern and rounded, whose values plain[rows * c]
 * become; or an output. */
ck_matrix ck_pixels_in(ck_case *c, const char *name, dd_format format, int64_t rows, int64_t width, ck_pattern how,
                       float *plain);

/* The variant of the last of b pictures alone: the first output tensor, which holds b pictures of equal size. False: there
 * is only one. *at: elements of the tensor before the last one. */
bool ck_last_picture(ck_case *c, const ck_tensor *out, int32_t b, int64_t *at);

static inline const ck_tensor *ck_first_output(const ck_case *c)
{
    const ck_tensor *t = c->tensors;
    while (!t->output) t++;
    return t;
}

#endif

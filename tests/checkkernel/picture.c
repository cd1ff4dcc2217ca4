/* SPDX-License-Identifier: MIT
 * Pixels as tensors of a case, and pictures of a batch alone. */
#include "tests/checkkernel/picture.h"

const char *ck_pixels_unsupported(const ck_impl *impl, dd_format format)
{
    if (format == DD_FMT_F32 || impl->all_formats) return NULL;
    switch (format) {
    case DD_FMT_BF16: return impl->bf16 != DD_FMT_F32 ? NULL : "format";
    case DD_FMT_F16: return impl->f16 ? NULL : "format";
    case DD_FMT_TF32: return impl->tf32 ? NULL : "format";
    default: return "format";
    }
}

ck_matrix ck_pixels_in(ck_case *c, const char *name, dd_format format, int64_t rows, int64_t width, ck_pattern how,
                       float *plain)
{
    const ck_matrix m = ck_matrix_open(c, name, format, rows, width, false);
    ck_fill(&c->rng, plain, (size_t)(rows * width), how);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t x = 0; x < width; x++) {
            ck_matrix_set(&m, row, x, plain[row * width + x]);
            plain[row * width + x] = ck_matrix_get(&m, row, x);
        }
    return m;
}

bool ck_last_picture(ck_case *c, const ck_tensor *out, int32_t b, int64_t *at)
{
    c->variant_args = c->args;
    *at = (int64_t)(out->n / (size_t)b) * (b - 1);
    for (int64_t i = 0; i < (int64_t)out->n; i++) c->variant_map[i] = i < *at ? CK_UNTOUCHED : i;
    return b > 1;
}

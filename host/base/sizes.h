/* SPDX-License-Identifier: MIT
 * Checked arithmetic on sizes that come from files and flags. Each returns true and stores the result, or false on
 * overflow. */
#ifndef DD_HOST_BASE_SIZES_H
#define DD_HOST_BASE_SIZES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool dd_mul_size(size_t a, size_t b, size_t *out)
{
    if (b != 0 && a > SIZE_MAX / b) return false;
    *out = a * b;
    return true;
}

static inline bool dd_add_size(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b) return false;
    *out = a + b;
    return true;
}

/* Rounds up to a multiple of align (a power of two). */
static inline bool dd_align_size(size_t a, size_t align, size_t *out)
{
    if (!dd_add_size(a, align - 1, out)) return false;
    *out &= ~(align - 1);
    return true;
}

#endif

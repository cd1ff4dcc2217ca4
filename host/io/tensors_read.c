/* SPDX-License-Identifier: MIT
 * Typed access to tensors: required shapes, and conversion to float32. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/io/tensors.h"

/* "[2, 3]"; an extent of -1 shows as "any". Cut off if it does not fit. */
static void print_shape(char *text, size_t size, int rank, const int64_t *shape)
{
    size_t n = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < rank && n < size; i++) {
        const char *comma = i ? ", " : "";
        n += (size_t)(shape[i] < 0 ? snprintf(text + n, size - n, "%sany", comma)
                                   : snprintf(text + n, size - n, "%s%" PRId64, comma, shape[i]));
    }
    if (n < size) snprintf(text + n, size - n, "]");
}

static bool same_shape(const dd_tensor *t, int rank, const int64_t *shape)
{
    if (t->rank != rank) return false;
    for (int i = 0; i < rank; i++)
        if (shape[i] >= 0 && t->shape[i] != shape[i]) return false;
    return true;
}

dd_status dd_tensors_require(const dd_tensors *file, const char *prefix, const char *name, int rank,
                             const int64_t *shape, const dd_tensor **out, dd_err *err)
{
    char full[DD_TENSOR_MAX_NAME + 1];
    if (out) *out = NULL;
    if (!prefix) prefix = "";
    const int n = snprintf(full, sizeof full, "%s%s", prefix, name);
    const bool fits = n >= 0 && (size_t)n < sizeof full; /* a longer name cannot be in the file */
    const dd_tensor *t = fits ? dd_tensors_find(file, full) : NULL;
    if (!t) return DD_FAIL(err, DD_ERR_FORMAT, "%s: tensor %s%s is missing", dd_tensors_path(file), prefix, name);
    if (!same_shape(t, rank, shape)) {
        char have[256], want[256];
        print_shape(have, sizeof have, t->rank, t->shape);
        print_shape(want, sizeof want, rank, shape);
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: tensor %s has shape %s, expected %s", dd_tensors_path(file), t->name,
                       have, want);
    }
    if (out) *out = t;
    return DD_OK;
}

/* The loads below go through memcpy: older writers left tensors unaligned. Each returns the index of the first element
 * that float32 cannot hold, or n. */
static int64_t read_float_like(const dd_tensor *t, float *dst)
{
    const unsigned char *src = t->data;
    for (int64_t i = 0; i < t->count; i++) {
        if (t->dtype == DD_F32) {
            memcpy(&dst[i], src + 4 * i, 4);
        } else {
            uint16_t h;
            memcpy(&h, src + 2 * i, 2);
            dst[i] = t->dtype == DD_F16 ? dd_f16_to_f32(h) : dd_bf16_to_f32(h);
        }
        if (!dd_f32_finite(dst[i])) return i;
    }
    return t->count;
}

static int64_t read_f64(const dd_tensor *t, float *dst)
{
    const unsigned char *src = t->data;
    for (int64_t i = 0; i < t->count; i++) {
        uint64_t bits;
        double v;
        memcpy(&bits, src + 8 * i, 8);
        memcpy(&v, &bits, 8);
        /* From the midpoint between FLT_MAX and 2^128 on, the conversion would not be finite. */
        const uint64_t magnitude = bits & 0x7fffffffffffffffu;
        if (magnitude >= 0x47effffff0000000u) return i;
        dst[i] = (float)v;
    }
    return t->count;
}

/* Integers are taken only if float32 holds them exactly: a count or an index that is rounded is a wrong one. */
static int64_t read_integer(const dd_tensor *t, float *dst)
{
    const unsigned char *src = t->data;
    for (int64_t i = 0; i < t->count; i++) {
        int64_t v = 0;
        if (t->dtype == DD_I64) {
            memcpy(&v, src + 8 * i, 8);
        } else if (t->dtype == DD_I32) {
            int32_t v32;
            memcpy(&v32, src + 4 * i, 4);
            v = v32;
        } else {
            v = src[i];
        }
        if (v > INT64_C(1) << 53 || v < -(INT64_C(1) << 53)) return i;
        dst[i] = (float)v;
        if ((int64_t)dst[i] != v) return i;
    }
    return t->count;
}

dd_status dd_tensors_read_f32(const dd_tensors *file, const dd_tensor *t, float *dst, dd_err *err)
{
    if (!t->known)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: tensor %s: dtype %s cannot be read", dd_tensors_path(file),
                       t->name, t->dtype_name);
    int64_t bad = t->count;
    const char *problem = "is not finite";
    switch (t->dtype) {
    case DD_F32:
    case DD_F16:
    case DD_BF16: bad = read_float_like(t, dst); break;
    case DD_F64:
        bad = read_f64(t, dst);
        problem = "is not finite in float32";
        break;
    case DD_I64:
    case DD_I32:
    case DD_U8:
        bad = read_integer(t, dst);
        problem = "is not exact in float32";
        break;
    case DD_TF32: break; /* not of files */
    }
    if (bad == t->count) return DD_OK;
    return DD_FAIL(err, DD_ERR_FORMAT, "%s: tensor %s: element %" PRId64 " %s", dd_tensors_path(file), t->name, bad,
                   problem);
}

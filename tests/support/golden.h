/* SPDX-License-Identifier: MIT
 * Golden files in tests: loading, comparing (NaN never passes), scratch files. A failure names tensor and element. */
#ifndef DD_TESTS_SUPPORT_GOLDEN_H
#define DD_TESTS_SUPPORT_GOLDEN_H

#include <stddef.h>

#include "dydit.h"
#include "host/io/tensors.h"

typedef struct golden {
    dd_tensors *file;
    const char *path;
} golden;

golden golden_open(const char *path);
void golden_close(golden *g);

/* Float32 values of a tensor; the caller frees them. */
float *golden_values(const golden *g, const char *name, size_t *count);

/* Every element of `got` (a file and tensor, or an array) within tolerance times the largest magnitude of the wanted
 * tensor. */
void golden_near(const golden *g, const char *want, const golden *other, const char *name, double tolerance);
void golden_near_values(const golden *g, const char *want, const float *got, size_t count, double tolerance);
/* Number of differing elements. */
size_t golden_differences(const golden *g, const char *want, const golden *other, const char *name, size_t *count);

/* A path in the scratch folder of this process, removed by golden_clean. */
const char *golden_scratch(const char *name);
void golden_clean(void);

/* The one backend that DYDIT_TEST_BACKEND wants tested. NULL: all of this build. */
const char *golden_backend(void);

/* A context on a backend in fp32, a model; failures end the test. */
dydit_ctx *golden_ctx(const char *backend, int threads);
/* In another precision; NULL where the backend lacks it here. */
dydit_ctx *golden_ctx_in(const char *precision, const char *backend, int threads);
dydit_model *golden_model(dydit_ctx *ctx, const char *path);

#endif

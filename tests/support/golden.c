/* SPDX-License-Identifier: MIT
 * Support for golden tests. */
#define _XOPEN_SOURCE 700
#include "support/golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/io/safetensors.h"

#define MAX_FILES 64

static char folder[256];
static char files[MAX_FILES][320];
static int n_files;

golden golden_open(const char *path)
{
    golden g = {NULL, path};
    dd_err err = {0};
    if (dd_safetensors_open(&g.file, path, &err) != DD_OK) fail_msg("%s", err.text);
    return g;
}

void golden_close(golden *g) { dd_tensors_close(&g->file); }

float *golden_values(const golden *g, const char *name, size_t *count)
{
    dd_err err = {0};
    const dd_tensor *t = dd_tensors_find(g->file, name);
    if (!t) fail_msg("%s: no tensor %s", g->path, name);
    float *v = malloc((size_t)t->count * sizeof *v + 1);
    assert_non_null(v);
    if (dd_tensors_read_f32(g->file, t, v, &err) != DD_OK) fail_msg("%s", err.text);
    *count = (size_t)t->count;
    return v;
}

void golden_near_values(const golden *g, const char *want, const float *got, size_t count, double tolerance)
{
    size_t n, worst = 0;
    double largest = 0, distance = -1;
    float *v = golden_values(g, want, &n);
    assert_int_equal(n, count);
    for (size_t i = 0; i < n; i++) {
        if (!dd_f32_finite(got[i])) fail_msg("%s: element %zu of %s is not finite", g->path, i, want);
        if (fabs((double)v[i]) > largest) largest = fabs((double)v[i]);
        if (fabs((double)v[i] - (double)got[i]) > distance) distance = fabs((double)v[i] - (double)got[i]), worst = i;
    }
    if (!(distance <= tolerance * largest))
        fail_msg("%s: %s[%zu] is %.9g, expected %.9g: off by %.3g of the largest magnitude %.3g", g->path, want, worst,
                 (double)got[worst], (double)v[worst], distance / largest, largest);
    free(v);
}

void golden_near(const golden *g, const char *want, const golden *other, const char *name, double tolerance)
{
    size_t n;
    float *got = golden_values(other, name, &n);
    golden_near_values(g, want, got, n, tolerance);
    free(got);
}

size_t golden_differences(const golden *g, const char *want, const golden *other, const char *name, size_t *count)
{
    size_t n, m, differ = 0;
    float *a = golden_values(g, want, &n), *b = golden_values(other, name, &m);
    if (n != m) fail_msg("%s: %s has %zu elements, expected %zu", g->path, want, m, n);
    for (size_t i = 0; i < n; i++) differ += a[i] != b[i];
    free(a);
    free(b);
    if (count) *count = n;
    return differ;
}

const char *golden_scratch(const char *name)
{
    if (!folder[0]) {
        const char *tmp = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%.200s/dydit-test-XXXXXX", tmp ? tmp : "/tmp");
        assert_non_null(mkdtemp(folder));
    }
    char path[320];
    snprintf(path, sizeof path, "%s/%.40s", folder, name);
    for (int i = 0; i < n_files; i++)
        if (strcmp(files[i], path) == 0) return files[i];
    assert_true(n_files < MAX_FILES);
    memcpy(files[n_files], path, sizeof path);
    return files[n_files++];
}

void golden_clean(void)
{
    for (int i = 0; i < n_files; i++) unlink(files[i]);
    if (folder[0]) rmdir(folder);
}

const char *golden_backend(void)
{
    const char *name = getenv("DYDIT_TEST_BACKEND");
    return name && *name ? name : NULL;
}

/* Who does the convolutions of DYDIT_TEST_BACKEND: DYDIT_TEST_VAE_ENGINE. */
static const char *vae_engine(const char *backend)
{
    const char *tested = golden_backend();
    return tested && strcmp(tested, backend) == 0 ? getenv("DYDIT_TEST_VAE_ENGINE") : NULL;
}

dydit_ctx *golden_ctx(const char *backend, int threads)
{
    dydit_options o;
    dydit_ctx *ctx = NULL;
    dydit_options_init(&o, sizeof o);
    o.backend = backend;
    o.threads = threads;
    o.vae_engine = vae_engine(backend);
    o.precision = "fp32";
    if (dydit_open(&ctx, &o) != DYDIT_OK) fail_msg("%s", dydit_message(ctx));
    return ctx;
}

dydit_ctx *golden_ctx_in(const char *precision, const char *backend, int threads)
{
    dydit_options o;
    dydit_ctx *ctx = NULL;
    dydit_options_init(&o, sizeof o);
    o.backend = backend;
    o.threads = threads;
    o.vae_engine = vae_engine(backend);
    o.precision = precision;
    if (dydit_open(&ctx, &o) != DYDIT_OK) dydit_close(&ctx);
    return ctx;
}

dydit_model *golden_model(dydit_ctx *ctx, const char *path)
{
    dydit_model *model = NULL;
    if (dydit_model_open(ctx, &model, path, NULL) != DYDIT_OK) fail_msg("%s", dydit_message(ctx));
    return model;
}

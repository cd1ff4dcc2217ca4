/* SPDX-License-Identifier: MIT
 * Timing: cases at the shapes of DiT-XL, and their results. */
#ifndef DD_TESTS_CHECKKERNEL_BENCH_H
#define DD_TESTS_CHECKKERNEL_BENCH_H

#include "tests/checkkernel/options.h"

#define CK_MAX_WEIGHTS 64
#define CK_BENCH_STEP 4 /* gated_adds of a step that reuses everything: their branches are more than caches hold */
#define CK_ROTATE_BYTES (128u << 20) /* weights of a case together, so that each comes from memory */

typedef struct ck_bench_case {
    const char *name;
    dd_op_id op;
    int m, n, unit, parts, k, k_unit; /* GEMM; m: rows of the other ops too */
    dd_epilogue epilogue;
    bool half;                    /* every other unit, of N or, with k_unit, of K; every other head */
    int rows;                     /* of a row list, 0: none */
    int size, c, ksize, upsample; /* pictures: of size x size pixels with c channels */
} ck_bench_case;

extern const ck_bench_case ck_bench_cases[];
extern const int ck_bench_n;

/* A case made ready for one implementation and one format. */
typedef struct ck_bench_work {
    dd_op_args args;
    void *owned[CK_MAX_WEIGHTS + 16];
    int n_owned;
    dd_packed *weights[CK_MAX_WEIGHTS];
    int n_weights;
    float *branches;     /* of gated_add, CK_BENCH_STEP sets of them */
    double flops, bytes; /* of one run: multiply and add are two; bytes that have to move */
    size_t scratch;
} ck_bench_work;

dd_status ck_bench_open(ck_bench_work *w, const ck_bench_case *c, const ck_impl *impl, dd_format format);
void ck_bench_close(ck_bench_work *w);

/* For cases: memory that is freed with them, filled where it says so. */
void *ck_bench_own(ck_bench_work *w, size_t bytes);
float *ck_bench_numbers(ck_bench_work *w, size_t n);
/* A matrix of small numbers in any format; a whole number of blocks of rows. */
void *ck_bench_matrix(ck_bench_work *w, dd_format format, int64_t rows, int64_t ld);
/* Weights that keep the size of their inputs, as those of trained models do: arguments of GELU stay near 0. */
float *ck_bench_weight_numbers(ck_bench_work *w, int64_t n, int64_t k);
/* Packs as many copies as `total` bytes hold, one at least. */
dd_status ck_bench_weights(ck_bench_work *w, const ck_impl *impl, const dd_weight_desc *desc, size_t total);

dd_status ck_bench_conv2d(ck_bench_work *w, const ck_bench_case *c, const ck_impl *impl, dd_format format);
dd_status ck_bench_group_norm(ck_bench_work *w, const ck_bench_case *c, dd_format format);
dd_status ck_bench_pixel_attention(ck_bench_work *w, const ck_bench_case *c, const ck_impl *impl, dd_format format);

typedef struct ck_bench_result {
    const ck_bench_case *c;
    const ck_impl *impl;
    dd_format format;
    int runs;
    double low_ms, median_ms, high_ms; /* tenth, half, nine tenths of the runs */
    double gflops, of_peak;            /* of_peak 0: the peak is not known */
    double peak_gflops;                /* of all threads in registers, the better one of before and after */
    double gbs, of_bandwidth;
} ck_bench_result;

typedef struct ck_bench_report {
    const ck_options *o;
    int threads;
    double bandwidth; /* GB/s read by all threads */
    ck_bench_result *results;
    int n, capacity;
} ck_bench_report;

void ck_bench_print(const ck_bench_result *r);
void ck_bench_summary(const ck_bench_report *r);
bool ck_bench_json(const ck_bench_report *r, const char *path);    /* false: could not be written */
bool ck_bench_compare(const ck_bench_report *r, const char *path); /* false: could not be read */

#endif

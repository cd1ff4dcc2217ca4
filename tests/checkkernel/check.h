/* SPDX-License-Identifier: MIT
 * A case of an op: its tensors with what must be in them afterwards, the arguments, one weight, and variants of the
 * arguments whose results must equal parts of the first run's. check_<op>.c builds cases, verify.c runs them on an
 * implementation. */
#ifndef DD_TESTS_CHECKKERNEL_CHECK_H
#define DD_TESTS_CHECKKERNEL_CHECK_H

#include <stdbool.h>

#include "kernels/ops.h"
#include "tests/checkkernel/data.h"
#include "tests/checkkernel/exec.h"
#include "tests/checkkernel/impl.h"
#include "tests/checkkernel/tensor.h"

#define CK_EPS 0x1p-24    /* unit roundoff of float32 */
#define CK_FLUSH 0x1p-126 /* what an instruction that flushes subnormals may lose */
#define CK_COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))
#define CK_MAX_TENSORS 32

/* Relative error that e^x, 1/x and tanh may have together where the result is in that format. In f16 that of __expf, 2 +
 * 1.173 |x| units of 2^-23 (CUDA Programming Guide) for |x| < 88, and two more for the quotient: 108 of them. */
static inline double ck_approx(dd_format f)
{
    switch (f) {
    case DD_FMT_BF16:
    case DD_FMT_BF16_BLOCKS: return 0x1p-12;
    case DD_FMT_F16: return 0x1p-16;
    default: return 0;
    }
}

static inline int64_t ck_format_bytes(dd_format f) { return (int64_t)dd_dtype_bytes(dd_format_dtype(f)); }

typedef enum ck_level { CK_QUICK, CK_FULL } ck_level;

typedef struct ck_op ck_op;
typedef struct ck_case ck_case;

/* ---- the list of cases ---- */

typedef struct ck_entry {
    char name[160];
    void *params;
} ck_entry;

typedef struct ck_list {
    ck_level level;
    const char *filter; /* glob, or NULL */
    ck_entry *entries;
    int n, capacity;
} ck_list;

/* Adds a case unless the filter or a case of the same name is against it. */
void ck_list_add(ck_list *l, const void *params, size_t bytes, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void ck_list_free(ck_list *l);

/* ---- one case ---- */

typedef struct ck_weight {
    dd_weight_desc desc; /* n == 0: the op has none */
    void *data;          /* as stored in a file, at an odd address where 16 bits wide */
    float *rows;         /* [n,k], in the packed order and rounded to desc.as */
} ck_weight;

struct ck_case {
    const ck_op *op;
    const char *name;
    ck_rng rng;
    dd_op_args args;
    int32_t step;
    ck_tensor tensors[CK_MAX_TENSORS];
    int n_tensors;
    ck_weight weight;
    int32_t tokens, head_dim, hidden; /* limits that decide the scratch */
    bool zeros_ok;                    /* results that are mostly zero are what the case asks for */
    bool no_naive;                    /* there is nothing to compute in another way */
    const void *params;
    /* Set by op->variant: other arguments, and for every element of the outputs which element of the first run it must
     * equal; CK_UNTOUCHED, CK_UNSEEN. */
    dd_op_args variant_args;
    int32_t variant_lists[3][600]; /* room for lists of the variant */
    int64_t
        *variant_map; /* of the first output tensor; the others stay as they were where they are not free, unless: */
    bool variant_map_all; /* all outputs have as many elements as the first and the same map */
};

#define CK_UNTOUCHED (-1)
#define CK_UNSEEN (-2)

/* Tensors are poisoned; what the case leaves so must not be read (inputs) or is for the op to write (outputs). */
ck_tensor *ck_in(ck_case *c, const char *name, dd_dtype dtype, size_t n);
ck_tensor *ck_out(ck_case *c, const char *name, dd_dtype dtype, size_t n);
float *ck_in_f32(ck_case *c, const char *name, size_t n, ck_pattern how);
int32_t *ck_in_i32(ck_case *c, const char *name, size_t n);

void ck_expect_near(ck_tensor *t, int64_t i, double want, double bound, float naive);
void ck_expect_kind(ck_tensor *t, int64_t i, ck_kind kind);

/* A matrix of activations. In blocks the rows are rounded up to DD_BLOCK. Aligned to 64 bytes, as the runtime's are, where
 * its rows are whole chunks. */
typedef struct ck_matrix {
    ck_tensor *t;
    dd_format format;
    int64_t rows, ld;
} ck_matrix;

ck_matrix ck_matrix_open(ck_case *c, const char *name, dd_format format, int64_t rows, int64_t ld, bool output);
int64_t ck_matrix_at(const ck_matrix *m, int64_t row, int64_t col);
void ck_matrix_set(const ck_matrix *m, int64_t row, int64_t col, float v); /* rounds to the format */
float ck_matrix_get(const ck_matrix *m, int64_t row, int64_t col);
/* Leading dimension for `width` columns: `more` columns wider, whole blocks where the format wants them. */
int64_t ck_ld(dd_format format, int64_t width, int64_t more);
/* What blocks demand of a matrix of `rows` x `width`: zeros up to a whole block of columns; free rows. For inputs the
 * zeros are written, for outputs expected. */
void ck_matrix_finish(const ck_matrix *m, int64_t rows, int64_t width);

/* Slices of `width` elements in units of `unit`: tensors of the case with decoys around the list in force. *list is the
 * list in force (n chunks, then the chunks), NULL for CK_NULL. */
dd_slices ck_slices(ck_case *c, const char *name, int64_t width, int64_t unit, ck_mask how, const int32_t **list);
static inline int64_t ck_active(const int32_t *list, int64_t width) { return list ? list[0] * DD_CHUNK : width; }
static inline int64_t ck_column(const int32_t *list, int64_t i)
{
    return list ? (int64_t)list[1 + i / DD_CHUNK] * DD_CHUNK + i % DD_CHUNK : i;
}

/* Vectors for r rows: three conditions, a table with gaps, the slot of the case's step. */
dd_cond_table ck_cond_table(ck_case *c, const char *name, int32_t r, int64_t width, ck_pattern how);

/* `keep` of `all` rows, ascending, with gaps; the rest of the list is garbage. */
dd_row_list ck_row_list(ck_case *c, int64_t all, int64_t keep);

/* Draws the weight; values are those of the dtype it is stored in. */
void ck_weight_open(ck_case *c, int64_t n, int64_t k, int64_t unit, int64_t parts, dd_dtype stored, dd_dtype as,
                    ck_pattern how);

/* Runs the reference on args (whose outputs must be memory of the caller's). Exits if it refuses. */
void ck_reference(ck_case *c, const dd_op_args *args);

/* sum |a b|, a little too large rather than too small */
double ck_abs_dot(const float *a, const float *b, int64_t n);

/* ---- ops ---- */

struct ck_op {
    dd_op_id id;
    void (*list)(ck_list *l);
    const char *(*unsupported)(const ck_impl *impl, const void *params); /* NULL, or the reason; may be NULL itself */
    uint64_t (*least_work)(const void *params); /* no more than ck_case_work of it; may be NULL */
    void (*build)(ck_case *c);
    void (*bind)(dd_op_args *args, const dd_packed *w); /* ops with a weight */
    bool (*variant)(ck_case *c, int i);                 /* false: there is no i-th; may be NULL */
    const char *(*post)(const ck_case *c);              /* more to check after runs of all: NULL or a complaint */
};

/* Defined in check_<op>.c: a missing one is a link error. */
#define DD_OP(name) extern const ck_op ck_op_##name;
#include "kernels/ops.def"
#undef DD_OP
extern const ck_op *const ck_ops[DD_OP_COUNT];

void ck_case_open(ck_case *c, const ck_op *op, const ck_entry *e, uint64_t seed);
void ck_case_close(ck_case *c);

/* Roughly the multiplications, to leave out what would take too long. */
uint64_t ck_case_work(const ck_case *c);

/* ---- verification ---- */

typedef enum ck_outcome { CK_PASS, CK_FAIL, CK_SKIP, CK_MISTRUST } ck_outcome;

typedef struct ck_result {
    ck_outcome outcome;
    const char *check; /* which one failed: "value", "guard", ... */
    char why[240];
    double over_bound; /* largest error / bound */
    double over_naive; /* largest error / largest error of the naive computation; 0: no naive one */
} ck_result;

#define CK_EXECS 4 /* 0, 1, 2, 3 threads */

ck_result ck_verify(ck_case *c, const ck_impl *impl, ck_exec *execs);

/* What runs now, for the handler of memory faults. */
extern const char *ck_now_case, *ck_now_impl;
extern dd_op_id ck_now_op;

#endif

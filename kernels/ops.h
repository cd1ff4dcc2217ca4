/* SPDX-License-Identifier: MIT
 * The seam between host and kernels: argument structs, function types and the table that each backend fills.
 *
 * Letters: R rows (batch, doubled by guidance) · B images · S tokens of a row · A active tokens · P pixels · D width · H heads ·
 * E head dim · C channels · M/N/K GEMM. Every pointer carries its shape; element type float32 unless said otherwise.
 * Inputs of GEMMs and attention may be of fewer bits (dd_format); sums, statistics, gates and the residual stream x never
 * are.
 *
 * Arguments stay the same for every step of a program: whatever changes from step to step lies in tables that the op
 * indexes by the step counter `*exec->step`, so that a backend may record a program once and replay it. Pointers are
 * device pointers of the backend. Ops check their preconditions and return DD_ERR_ARG; they never allocate. */
#ifndef DD_KERNELS_OPS_H
#define DD_KERNELS_OPS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/dtype.h"
#include "kernels/status.h"

#define DD_CHUNK 8      /* elements of one slice-list entry: 16 bytes of bf16, 32 of float32 */
#define DD_BLOCK 32     /* rows and columns of one block of DD_FMT_BF16_BLOCKS */
#define DD_LN_EPS 1e-6f /* LayerNorm epsilon of DiT */
#define DD_MAX_UNITS 64 /* heads or channel groups of one site */

typedef void dd_task(void *arg, int item, int thread); /* thread: 0 .. n_threads-1 */

/* Where and when an op runs. */
typedef struct dd_exec {
    const int32_t *step; /* row of every per-step table that is in force; device memory */
    void *stream;        /* cuda: cudaStream_t. Unused on the CPU. */
    void *engine;        /* cuda: who chooses between the own GEMM and a library's; NULL: the own. Unused on the CPU. */
    int32_t host_step; /* cuda: *step as the host knows it, except while ops are recorded to be replayed at any step */
    void *pool;        /* cpu: first argument of parallel_for */
    void (*parallel_for)(void *pool, int n_items, dd_task *task, void *arg); /* returns when all items are done */
    int n_threads;
    void **scratch; /* cpu: [n_threads] private work areas, 64-byte aligned */
    size_t scratch_bytes;
} dd_exec;

/* Slices in force at a step: the active DD_CHUNK-wide chunks of one axis, ascending, never splitting a unit.
 * list = pool + offset[*step]; list[0] = n chunks, list[1..n] = chunk indices. pool == NULL: the whole axis. */
typedef struct dd_slices {
    const int32_t *pool;
    const int32_t *offset; /* [steps] */
} dd_slices;

static inline const int32_t *dd_slices_at(dd_slices s, int32_t step) { return s.pool ? s.pool + s.offset[step] : NULL; }

/* Vectors that depend on (step, label) only: adaLN shifts, scales and gates.
 * The vector of row r at offset o: table + slot[*step] * slot_stride + row_cond[r] * cond_stride + o. */
typedef struct dd_cond_table {
    const float *table; /* [slots, n_cond, width] */
    int64_t slot_stride, cond_stride;
    const int32_t *slot;     /* [steps] where in the chunk a step's vectors begin, in units of slot_stride */
    const int32_t *row_cond; /* [R] which (label) entry belongs to a row */
} dd_cond_table;

static inline const float *dd_cond_at(const dd_cond_table *t, int32_t step, int64_t row)
{
    return t->table + t->slot[step] * t->slot_stride + t->row_cond[row] * t->cond_stride;
}

/* Rows of [R,S] chosen by a router. idx == NULL: all R*S rows, in order. */
typedef struct dd_row_list {
    const int32_t *idx;   /* [R*S] kept rows, ascending; the first *count are valid */
    const int32_t *count; /* [1], on the device */
} dd_row_list;

/* How a matrix of activations lies in memory. Which ones an op takes depends on the backend; all take DD_FMT_F32.
 * In blocks, element (row, col) is at dd_block_at; ld is a multiple of DD_BLOCK and there is room for the rows rounded
 * up to DD_BLOCK. Whoever writes such a matrix zeroes the columns from its (active) width up to a multiple of DD_BLOCK;
 * the rows that only round up the count hold anything. */
typedef enum dd_format {
    DD_FMT_F32,         /* row-major float32 */
    DD_FMT_BF16,        /* row-major bfloat16 */
    DD_FMT_BF16_BLOCKS, /* [rows/32][ld/32][32][32] bfloat16: a block is two operand tiles of AMX */
    DD_FMT_F16,         /* row-major binary16; what exceeds it becomes infinite */
    DD_FMT_TF32,        /* row-major float32 that holds values of TF32: whoever writes it rounds to 11 bits */
    DD_FMT_COUNT
} dd_format;

/* What a weight is stored as for inputs of this format; its size is that of an element, too. */
static inline dd_dtype dd_format_dtype(dd_format f)
{
    switch (f) {
    case DD_FMT_BF16:
    case DD_FMT_BF16_BLOCKS: return DD_BF16;
    case DD_FMT_F16: return DD_F16;
    case DD_FMT_TF32: return DD_TF32;
    case DD_FMT_F32:
    case DD_FMT_COUNT: break;
    }
    return DD_F32;
}

static inline const char *dd_format_name(dd_format f)
{
    switch (f) {
    case DD_FMT_F32: return "f32";
    case DD_FMT_BF16: return "bf16";
    case DD_FMT_BF16_BLOCKS: return "blocks";
    case DD_FMT_F16: return "f16";
    case DD_FMT_TF32: return "tf32";
    case DD_FMT_COUNT: break;
    }
    return "?";
}

static inline int64_t dd_block_at(int64_t ld, int64_t row, int64_t col)
{
    return (row / DD_BLOCK * (ld / DD_BLOCK) + col / DD_BLOCK) * (DD_BLOCK * DD_BLOCK) + row % DD_BLOCK * DD_BLOCK +
           col % DD_BLOCK;
}

/* A weight matrix in the layout of its backend (dd_backend.pack). */
typedef struct dd_packed dd_packed;

/* What a backend packs. data: row-major [n,k], any of f32/f16/bf16, possibly unaligned.
 * The rows of a unit need not be neighbours in data: it may hold `parts` matrices of n/parts rows one after the other
 * (q, k and v of all heads), each with n_unit/parts rows of every unit. Packed, and in every slice list, bias and
 * result, the order is unit by unit: row i of the packed weight is row dd_weight_row(desc, i) of data. */
typedef struct dd_weight_desc {
    const char *name;
    const void *data;
    dd_dtype dtype;
    int64_t n, k;
    int64_t n_unit; /* slices along N never cut a run of n_unit rows. n: never sliced; else a multiple of DD_CHUNK */
    int64_t parts;  /* 0 or 1: one */
    dd_dtype as;    /* what to store: dd_format_dtype of the inputs; other than DD_F32 rounded to nearest even */
} dd_weight_desc;

static inline int64_t dd_weight_row(const dd_weight_desc *d, int64_t i)
{
    if (d->parts <= 1) return i;
    const int64_t run = d->n_unit / d->parts, in_unit = i % d->n_unit;
    return in_unit / run * (d->n / d->parts) + i / d->n_unit * run + in_unit % run;
}

/* The inverse: which row of the packed weight row i of data becomes. */
DD_HD_INLINE int64_t dd_weight_packed_row(const dd_weight_desc *d, int64_t i)
{
    if (d->parts <= 1) return i;
    const int64_t run = d->n_unit / d->parts, part = d->n / d->parts, in_part = i % part;
    return in_part / run * d->n_unit + i / part * run + in_part % run;
}

/* c[s,l,:] = SiLU(temb[first_step + s,:] + labels_emb[labels[l],:]), s < n_steps (device scalar range below) */
typedef struct dd_cond_args {
    const float *temb;     /* [steps,D] timestep embeddings */
    const float *emb;      /* [classes+1,D] label embeddings */
    const int32_t *labels; /* [n_cond] */
    void *c;               /* [slots*n_cond, ldc] */
    dd_format c_format;
    int64_t ldc;
    int32_t slots; /* computes min(slots, steps - *step) steps, from *step on */
    int32_t steps, n_cond, d;
} dd_cond_args;

/* x[r,s,:] = W · patch(latents[r mod B], s) + bias + pos[s,:];  a p x p convolution of stride p, tokens row-major */
typedef struct dd_patch_embed_args {
    const float *latents; /* [B,C,size,size] */
    const dd_packed *w;   /* [D, C*p*p] */
    const float *bias;    /* [D] */
    const float *pos;     /* [S,D] */
    float *x;             /* [R,S,D] */
    int32_t b, r, c, size, p, d;
} dd_patch_embed_args;

/* y[i,:] = LN(x[row(i),:]) * (1 + scale) + shift, vectors of the row's condition; LN without affine */
typedef struct dd_adaln_args {
    const float *x; /* [R*S,D] */
    void *y;        /* [R*S, ldy] or, with a list, [A, ldy] compact */
    dd_format y_format;
    int64_t ldy; /* >= D */
    dd_row_list rows;
    dd_cond_table cond;
    int64_t shift, scale; /* offsets of the vectors */
    int32_t r, s, d;
    float eps; /* > 0, added to the variance */
} dd_adaln_args;

#define DD_MAX_SOURCES 64

/* y = sum over i of weight[i] * x[i], the outputs of blocks and the embedded tokens, in the order of i; in the same pass
 * adaln of y, all rows of it. */
typedef struct dd_depth_average_args {
    const float *x[DD_MAX_SOURCES]; /* [R*S,D] each */
    float weight[DD_MAX_SOURCES];
    float *y;  /* [R*S,D], may be one of the x */
    int32_t n; /* of the x, at least 1 */
    int32_t r, s, d;
    dd_adaln_args norm; /* of its x, which is y, and of the same r, s, d; without a list. norm.y NULL: not wanted */
} dd_depth_average_args;

typedef enum dd_epilogue {
    DD_EPI_BIAS,     /* c[i,:] = acc + bias */
    DD_EPI_GELU,     /* c[i,:] = gelu_tanh(acc + bias) */
    DD_EPI_RESIDUAL, /* c[row(i),:] += gate * (acc + bias); rows are unique, so no atomics */
} dd_epilogue;

/* acc[i,n] = sum_k a[i,k] * w[n,k] over the active chunks of N and K.
 * Along N the result is compact (active chunks side by side, from column 0), along K the input is compact likewise.
 * bias and gate are indexed by the column of W. The order of summation along K does not depend on m, on the rows, on
 * the slices of N or on the number of threads. */
typedef struct dd_gemm_args {
    const void *a; /* [m, lda], the first (active) K columns; of a format that w is packed for */
    const dd_packed *w;
    const float *bias; /* [N], or NULL: 0 */
    void *c;           /* [m, ldc]; DD_EPI_RESIDUAL: float32 */
    dd_format a_format, c_format;
    int64_t lda, ldc;
    int64_t c_unit;   /* columns from one active unit of N to the next; 0: n_unit, that is no gaps */
    int32_t m;        /* rows; with a list the largest possible number */
    dd_row_list rows; /* count limits the rows; idx scatters (DD_EPI_RESIDUAL only) */
    dd_slices n, k;
    dd_slices host_n, host_k; /* the same lists in host memory; pool NULL: the host does not know them */
    dd_epilogue epilogue;
    dd_cond_table gate; /* DD_EPI_RESIDUAL */
    int64_t gate_off;
    int32_t s; /* tokens of a row: gate of list entry i is that of row(i) / s */
} dd_gemm_args;

/* The result of a branch before its gate, as a step kept it or is about to keep it. Formats: float32 or bf16 rows. */
typedef struct dd_branch {
    const void *f; /* [R*S,D] or, with a list, [A,D] compact */
    void *keep;    /* of f's shape, out: f. NULL: not wanted */
    void *change;  /* of f's shape, out: what is added to x, 0 where the mask says no. May be f; NULL: not wanted */
    dd_format f_format, out_format; /* the second is that of keep and change; where change is f both are the same */
    dd_row_list rows;               /* those that f holds, ascending */
    const uint8_t *mask;            /* [R*S] not 0: the row gets it. NULL: all */
    int64_t gate;                   /* offset of the gate, -1: f is added as it is */
} dd_branch;

#define DD_MAX_BRANCHES 16

/* x[row,:] += gate * f[row,:] for every branch, one after the other. x is read and written once. */
typedef struct dd_gated_add_args {
    float *x;           /* [R*S,D] */
    dd_cond_table cond; /* empty where no branch has a gate */
    dd_branch branch[DD_MAX_BRANCHES];
    int32_t n; /* branches */
    int32_t r, s, d;
} dd_gated_add_args;

/* Self-attention of the active heads: out_h = softmax(q_h k_hᵀ / sqrt(E)) v_h.
 * With a active heads, a row of qkv holds q, k and v of the first, then of the second: [a, 3, E], ld_head elements from
 * one head to the next. */
typedef struct dd_attention_args {
    const void *qkv; /* [R*S, ldq] float32, or row-major bf16 or f16 */
    void *out;       /* [R*S, ldo]: [a, E], compact */
    dd_format qkv_format, out_format;
    int64_t ldq, ldo;
    int64_t ld_head; /* >= 3E */
    dd_slices heads; /* slices of the qkv weight's N (3E/DD_CHUNK chunks per head); NULL: all h heads */
    int32_t r, s, h, e;
} dd_attention_args;

/* logit[i] = w2 · ReLU(W1 x[i,:] + b1) + b2 on the raw residual stream; kept where dd_logit_on. Rows in ascending
 * order. */
typedef struct dd_route_args {
    const float *x;        /* [R*S,D] */
    const dd_packed *w1;   /* [J,D] */
    const float *b1;       /* [J] */
    const float *w2;       /* [J] */
    const float *b2;       /* [1] */
    const uint8_t *forced; /* [R*S] decisions to take instead of the router's, or NULL */
    int32_t *idx;          /* [R*S] out: kept rows */
    int32_t *count;        /* [1] out */
    uint8_t *mask;         /* [R*S] out: 1 kept, 0 not */
    int32_t *kept;         /* [steps] kept[*step] = *count, or NULL */
    int32_t *hits;         /* [R*S] += mask, or NULL */
    int32_t split;         /* not 0: products may be sums of those of parts, to the bound of float32 */
    int32_t r, s, d, j;
} dd_route_args;

/* out[r, c, gy*p+py, gx*p+px] = tokens[r*S + gy*(size/p)+gx, (py*p+px)*co + c] */
typedef struct dd_unpatchify_args {
    const float *tokens; /* [R*S, p*p*co] */
    float *out;          /* [R,co,size,size] */
    int32_t r, co, size, p;
} dd_unpatchify_args;

/* Rows are [conditional; null]. The first `channels` channels of both halves become u + scale (c - u). */
typedef struct dd_guide_args {
    float *out; /* [2B,co,size,size] */
    float scale;
    int32_t b, co, channels, size;
} dd_guide_args;

/* Where the random numbers of an image lie. */
typedef struct dd_noise_stream {
    uint64_t seed;
    uint64_t offset; /* of the generator at the draw of step 0, a multiple of 4 */
    int64_t first;   /* which element of the draw becomes the first of dst, >= 0 */
} dd_noise_stream;

/* dst[b,i] = element e = first + i of the draw that torch.randn makes with its offset at o = offset + *step * stride, in
 * a launch of T threads. Element e is the (e/T)-th of thread e%T, which takes the four words of Philox counter o/4,
 * o/4 + 1, ... (low half; high half: the thread; key: the seed) one after the other: words x, y become s sin v and
 * s cos v with u = dd_philox_u(x), v = dd_philox_v(y), s = sqrt(-2 ln u). */
typedef struct dd_noise_args {
    float *dst;                    /* [B,count] */
    const dd_noise_stream *stream; /* [B], on the device */
    uint64_t stride;               /* growth of the offset from step to step, a multiple of 4 */
    int64_t count;
    uint32_t threads; /* T */
    int32_t b;
} dd_noise_args;

/* The last two are linear multistep methods: they keep what earlier steps predicted. */
typedef enum dd_solver {
    DD_SOLVER_DDPM,
    DD_SOLVER_DDIM,
    DD_SOLVER_DPMPP2M,
    DD_SOLVER_UNIPC,
    DD_SOLVER_COUNT
} dd_solver;

/* Coefficients of one step, rounded from float64; see host/sample/solver.h for their source. Those that a solver does not
 * have are 0. */
enum {
    DD_COEF_X = 0, /* x0 = X x - E eps */
    DD_COEF_E,
    DD_COEF_MX0,   /* next x = MX0 x0 + MXT y + MX1 x0_1 + ME eps + sigma noise; y is x, corrected by unipc */
    DD_COEF_MXT,   /* all but ddim */
    DD_COEF_ME,    /* ddim */
    DD_COEF_SIGMA, /* ddim; ddpm: 1 where noise is added, 0 at the last step */
    DD_COEF_LOG_MIN, /* ddpm: sigma = exp(l/2), l = w LOG_MAX + (1-w) LOG_MIN, w = (v+1)/2, v the learned variance value */
    DD_COEF_LOG_MAX,
    DD_COEF_MX1, /* dpmpp2m, unipc */
    DD_COEF_CY,  /* unipc: y = CY y_1 + C0 x0 + C1 x0_1 + C2 x0_2; y = x where CY is 0 */
    DD_COEF_C0,
    DD_COEF_C1,
    DD_COEF_C2,
    DD_COEF_COUNT
};

/* One solver step on the latents, in place. eps and v are the two channel halves of the first B rows of out. What is kept
 * of earlier steps moves on by one: x0_2 = x0_1, x0_1 = x0, y_1 = y. It is read only where its coefficient is not 0, so
 * that the first step needs none. */
typedef struct dd_solve_args {
    dd_solver solver;
    const float *coef;  /* [steps, DD_COEF_COUNT] */
    float *x;           /* [B,C,size,size] in and out */
    const float *out;   /* [>=B,co,size,size] */
    const float *noise; /* [B,C,size,size]; read only where SIGMA is not 0 */
    float *x0;          /* [B,C,size,size] prediction of the final picture, or NULL */
    int32_t b, c, co, size;
    float *x0_1, *x0_2, *y_1; /* [B,C,size,size] each; x0_1 of dpmpp2m and unipc, the others of unipc only */
} dd_solve_args;

static inline int dd_solver_known(dd_solver s) { return s >= DD_SOLVER_DDPM && s < DD_SOLVER_COUNT; }

static inline int dd_solver_multistep(dd_solver s) { return s == DD_SOLVER_DPMPP2M || s == DD_SOLVER_UNIPC; }

/* Does a solve have all that it keeps from step to step? */
static inline int dd_solve_kept_ok(const dd_solve_args *a)
{
    if (dd_solver_multistep(a->solver) && a->x0_1 == NULL) return 0;
    return a->solver != DD_SOLVER_UNIPC || (a->x0_2 != NULL && a->y_1 != NULL);
}

typedef struct dd_copy_args {
    void *dst;
    const void *src;
    size_t bytes;
} dd_copy_args;

/* Pictures of a decoder lie in rows of pixels, the channels of a pixel side by side: [B,H,W,C] with C a multiple of
 * DD_CHUNK. Channels that only fill it up are zero in activations and weights alike. */

/* Pictures whose pixels can be counted in 32 bits, with channels in whole chunks. */
static inline int dd_picture_ok(int32_t b, int32_t h, int32_t w, int32_t c)
{
    if (b <= 0 || h <= 0 || w <= 0 || c <= 0 || c % DD_CHUNK != 0) return 0;
    return (int64_t)h * w <= INT32_MAX && (int64_t)b * ((int64_t)h * w) <= INT32_MAX;
}

/* Pixels lie in rows. */
static inline int dd_pixel_format_ok(dd_format f) { return (unsigned)f < DD_FMT_COUNT && f != DD_FMT_BF16_BLOCKS; }

/* dst[b,y,x,c] = scale * src[b,c,y,x] for c < c_src, 0 for the channels from there to c */
typedef struct dd_to_pixels_args {
    const float *src; /* [B,c_src,H,W] */
    void *dst;        /* [B,H,W,C] */
    dd_format dst_format;
    float scale;
    int32_t b, h, w, c_src, c;
} dd_to_pixels_args;

/* acc[b,y,x,n] = sum over i, j < ksize and c of in[b, y + i - p, x + j - p, c] * w[n, (i * ksize + j) * C + c] with
 * p = ksize / 2 and zeros outside of the picture; then + bias, + residual. in is src or, with `upsample`, src with every
 * pixel repeated 2 x 2. The order of summation does not depend on the place, on the size of the picture or on the number
 * of threads. */
typedef struct dd_conv2d_args {
    const void *src;       /* [B,H,W,C], with upsample [B,H/2,W/2,C]; of a format that the weight is packed for */
    const dd_packed *w;    /* [N, ksize*ksize*C], taps row by row, then channels */
    const float *bias;     /* [N] */
    const float *residual; /* [B,H,W,N], may be dst; or NULL */
    void *dst;             /* [B,H,W,N]; float32 with a residual */
    dd_format src_format, dst_format; /* row-major ones */
    int32_t b, h, w_out, c, n;        /* h, w_out: of dst */
    int32_t ksize;                    /* 1 or 3 */
    int32_t upsample;                 /* not 0: twice the size of src; h and w_out are even */
} dd_conv2d_args;

/* y = (x - mean) / sqrt(variance + eps) * gamma + beta, mean and variance over the pixels and the C/groups neighbouring
 * channels of a group; then y * sigmoid(y) with `silu`. */
typedef struct dd_group_norm_args {
    const float *x; /* [B,H*W,C] */
    void *y;        /* [B,H*W,C] */
    dd_format y_format;
    const float *gamma, *beta; /* [C] */
    float *work;               /* dd_group_norm_work elements: sums on the way */
    float eps;
    int32_t b, pixels, c, groups; /* groups divides c */
    int32_t silu;
} dd_group_norm_args;

#define DD_GROUP_NORM_PARTS 128 /* into which the pixels of a picture are cut at most */

static inline int64_t dd_group_norm_work(int64_t b, int64_t groups) { return b * groups * DD_GROUP_NORM_PARTS * 3; }

/* out[b,i,:] = softmax over j of (q_i k_j / sqrt(C)) v_j. A pixel of qkv holds q, k and v: [3,C]. */
typedef struct dd_pixel_attention_args {
    const void *qkv; /* [B,P,3C] */
    void *out;       /* [B,P,C] */
    dd_format qkv_format, out_format;
    int32_t b, pixels, c; /* c at most DD_PIXEL_ATTENTION_MAX */
} dd_pixel_attention_args;

#define DD_PIXEL_ATTENTION_MAX 512 /* channels */

/* dst[b,c,y,x] = src[b,y,x,c] for c < c_dst */
typedef struct dd_to_planes_args {
    const float *src; /* [B,H,W,C] */
    float *dst;       /* [B,c_dst,H,W] */
    int32_t b, h, w, c, c_dst;
} dd_to_planes_args;

/* One op of a program. */
typedef enum dd_op_id {
#define DD_OP(name) DD_OP_##name,
#include "kernels/ops.def"
#undef DD_OP
    DD_OP_COUNT
} dd_op_id;

typedef union dd_op_args {
#define DD_OP(name) dd_##name##_args name;
#include "kernels/ops.def"
#undef DD_OP
} dd_op_args;

/* The table of a backend. A NULL entry means that the backend lacks the op: an error at lowering time. */
typedef struct dd_ops {
#define DD_OP(name) dd_status (*name)(const dd_exec *exec, const dd_##name##_args *args);
#include "kernels/ops.def"
#undef DD_OP
} dd_ops;

#endif

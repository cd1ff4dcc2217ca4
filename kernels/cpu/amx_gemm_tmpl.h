/* SPDX-License-Identifier: MIT
 * Formula: acc[i,n] = sum over active k of a[i,k] w[n,k]; then + bias, gelu(acc + bias), or c += gate (acc + bias).
 * Layout: a in blocks, compact along sliced axes; w in panels of panel_bf16.h. A step of 32 of K is two tiles of a (16
 * rows each) and two of w (16 columns each); a step whose four chunks are no neighbours in w is gathered into scratch.
 * Thread mapping: one share of panels or rows per thread (amx_gemm.c).
 * Budget: 2 x 2 accumulator tiles, 2 of a, 2 of w. The weights of a chunk of K (up to 36 KiB) stay in L1 while up to 8 row
 * blocks pass, whose a is loaded past L1 by the streaming load; their partial sums (32 KiB) are reloaded for the next
 * chunk. Accumulators of a block are stored one by one between the first products of the next block, and its epilogue
 * runs between that block's steps. Meanwhile the next panel is fetched into L2.
 * Preconditions: checked in gemm_bf16.c.
 * Precision: products of bf16 exact; a step sums 16 even and 16 odd products apart in float32, then adds both sums to the
 * accumulator, steps ascending; storing and reloading it is exact. Bias added last. A sum of more than 72 steps that
 * DD_EPI_RESIDUAL adds to c is added in equal parts, which depend on K alone. GELU rounded to bf16 is amx_math.h. */
#include "kernels/cpu/amx_gemm.h"
#include "kernels/cpu/amx_math.h"
#include "kernels/cpu/amx_tile.h"
#include "kernels/cpu/bf16_blocks.h"

/* What a thread does at a time: all panels of its share for some row blocks and a part of K. */
typedef struct gemm_pass {
    int block, block_end, panel, panel_end, step, step_end;
} gemm_pass;

/* The steps of a chunk of K in one panel. */
typedef struct gemm_steps {
    int n;
    const unsigned char *w[DD_K_STEPS];     /* two tiles, rows of 128 bytes */
    int64_t at[DD_K_STEPS][DD_STEP_CHUNKS]; /* where its chunks lie in a panel */
} gemm_steps;

/* Lines of the next panel to fetch during a block: of every step, `lines` of each of `chunks` chunks. */
typedef struct gemm_ahead {
    const unsigned char *panel; /* at the first line of a chunk */
    int chunk, chunks, lines;
} gemm_ahead;

/* A finished block whose epilogue is still to run. */
typedef struct gemm_pending {
    int row, rows;     /* next one, and how many there are */
    int64_t first;     /* row 0 of the block */
    const float *bias; /* of the panel, or NULL */
    int64_t col;       /* of W */
    uint32_t valid;    /* columns of the panel that exist */
    void *c;           /* row 0; of a scattered result row 0 of c */
    int64_t ldc;       /* elements from row to row */
    uint32_t behind;   /* bf16: columns that lie in the next block of c, */
    int64_t skip;      /* that many elements further on */
} gemm_pending;

static void gemm_steps_set(const dd_gemm_job *j, const unsigned char *panel, int first, int n,
                           unsigned char (*gathered)[DD_STEP_BYTES], gemm_steps *s)
{
    s->n = n;
    tile_fence(); /* loads of what was gathered before stay before */
    for (int i = 0; i < n; i++) {
        const int64_t chunk = (int64_t)(first + i) * DD_STEP_CHUNKS;
        if (j->k_list == NULL) {
            for (int c = 0; c < DD_STEP_CHUNKS; c++) s->at[i][c] = (chunk + c) * DD_CHUNK_BYTES;
            s->w[i] = panel + s->at[i][0];
            continue;
        }
        const int32_t *list = j->k_list + 1 + chunk;
        const int64_t left = j->k_chunks - chunk;
        for (int c = 0; c < DD_STEP_CHUNKS; c++) s->at[i][c] = (int64_t)list[c < left ? c : 0] * DD_CHUNK_BYTES;
        s->w[i] = panel + s->at[i][0];
        if (left >= DD_STEP_CHUNKS && list[DD_STEP_CHUNKS - 1] == list[0] + DD_STEP_CHUNKS - 1) continue;
        for (int c = 0; c < DD_STEP_CHUNKS; c++) {
            unsigned char *to = gathered[i] + c * DD_CHUNK_BYTES;
            if (c < left) memcpy(to, panel + s->at[i][c], DD_CHUNK_BYTES);
            else memset(to, 0, DD_CHUNK_BYTES);
        }
        s->w[i] = gathered[i];
    }
    tile_fence();
}

/* The epilogue of one row of a finished block. `bf16`: c is bf16. */
DD_INLINE void gemm_row(const dd_gemm_job *j, gemm_pending *e, const float *sum, const dd_epilogue epilogue,
                        const bool bf16)
{
    const int r = e->row++;
    const float *s = sum + (r >> 4) * 512 + (r & 15) * 16;
    const __mmask16 low = (__mmask16)e->valid, high = (__mmask16)(e->valid >> 16);
    vf x = _mm512_load_ps(s), y = _mm512_load_ps(s + 256);
    if (e->bias) {
        x += _mm512_maskz_loadu_ps(low, e->bias);
        y += _mm512_maskz_loadu_ps(high, e->bias + 16);
    }
    if (bf16) {
        if (epilogue == DD_EPI_GELU) x = vgelu_bf16(x), y = vgelu_bf16(y);
        const __m512i both = vnarrow2(x, y);
        uint16_t *c = (uint16_t *)e->c + r * e->ldc;
        _mm512_mask_storeu_epi16(c, e->valid & ~e->behind, both);
        if (e->behind) _mm512_mask_storeu_epi16(c + e->skip, e->behind, both);
        return;
    }
    int64_t row = r;
    if (epilogue == DD_EPI_GELU) x = vgelu(x), y = vgelu(y);
    if (epilogue == DD_EPI_RESIDUAL) {
        row = dd_row_at(&j->g->rows, e->first + r);
        const float *gate = dd_cond_at(&j->g->gate, j->step, row / j->g->s) + j->g->gate_off + e->col;
        const float *c = (const float *)e->c + row * e->ldc;
        x = vfma(x, _mm512_maskz_loadu_ps(low, gate), _mm512_maskz_loadu_ps(low, c));
        y = vfma(y, _mm512_maskz_loadu_ps(high, gate + 16), _mm512_maskz_loadu_ps(high, c + 16));
    }
    float *c = (float *)e->c + row * e->ldc;
    _mm512_mask_storeu_ps(c, low, x);
    _mm512_mask_storeu_ps(c + 16, high, y);
}

static gemm_pending gemm_pending_at(const dd_gemm_job *j, const dd_panel_bf16 *p, int block, bool bias)
{
    const dd_gemm_args *g = j->g;
    const int64_t col = p->slot * j->c_unit + p->in_unit, row = (int64_t)block * DD_BLOCK, left = j->m - row;
    gemm_pending e = {.rows = left < DD_BLOCK ? (int)left : DD_BLOCK, .first = row, .col = p->col, .ldc = g->ldc};
    e.bias = bias && g->bias ? g->bias + p->col : NULL;
    e.valid = UINT32_MAX >> (DD_BLOCK - p->valid);
    switch (g->c_format) {
    case DD_FMT_F32: e.c = (float *)g->c + col + (g->epilogue == DD_EPI_RESIDUAL ? 0 : row * g->ldc); break;
    case DD_FMT_BF16: e.c = (uint16_t *)g->c + col + row * g->ldc; break;
    case DD_FMT_BF16_BLOCKS:
        e.c = (uint16_t *)g->c + dd_block_at(g->ldc, row, col);
        e.ldc = DD_BLOCK;
        if (col % DD_BLOCK) e.behind = e.valid & (UINT32_MAX << (DD_BLOCK - col % DD_BLOCK));
        e.skip = DD_BLOCK * DD_BLOCK - DD_BLOCK;
        break;
    default: break; /* refused */
    }
    return e;
}

DD_INLINE void gemm_fetch(const gemm_ahead *f, const int64_t *at)
{
    for (int i = 0; i < f->chunks; i++) {
        const unsigned char *p = f->panel + at[f->chunk + i];
        for (int l = 0; l < f->lines; l++) __builtin_prefetch(p + l * 64, 0, 2);
    }
}

/* One block of 32 rows (`full`) or up to 16. The accumulators still hold the block before: they go to `prev`. Then they
 * start from the partial sums `from`, or from zero. e: the pending epilogue, whose sums are in w->sum (after the first
 * step, if prev is there). */
DD_INLINE void gemm_block(const dd_gemm_job *j, const dd_epilogue epilogue, const bool bf16, const unsigned char *a,
                          const gemm_steps *s, const bool full, float *prev, const float *from, const float *sum,
                          gemm_pending *e, const gemm_ahead *f)
{
#define GEMM_START(t)                                      \
    do {                                                   \
        tile_store(t, prev + (t)*256, 64);                 \
        if (from) tile_load_stream(t, from + (t)*256, 64); \
        else tile_zero(t);                                 \
    } while (0)
    const unsigned char *w = s->w[0];
    GEMM_START(0);
    tile_load_stream(4, a, 64);
    tile_load(6, w, 128);
    tile_dot(0, 4, 6);
    GEMM_START(1);
    tile_load(7, w + 64, 128);
    tile_dot(1, 4, 7);
    GEMM_START(2);
    if (full) {
        tile_load_stream(5, a + 1024, 64);
        tile_dot(2, 5, 6);
    }
    GEMM_START(3);
    if (full) tile_dot(3, 5, 7);
#undef GEMM_START
    for (int k = 1; k < s->n; k++) {
        a += DD_STEP_BYTES;
        w = s->w[k];
        tile_load_stream(4, a, 64);
        tile_load(6, w, 128);
        tile_dot(0, 4, 6);
        tile_load(7, w + 64, 128);
        tile_dot(1, 4, 7);
        if (full) {
            tile_load_stream(5, a + 1024, 64);
            tile_dot(2, 5, 6);
            tile_dot(3, 5, 7);
        }
        if (k > 1 && e->row < e->rows) {
            gemm_row(j, e, sum, epilogue, bf16);
            if (e->row < e->rows) gemm_row(j, e, sum, epilogue, bf16);
        }
        gemm_fetch(f, s->at[k]);
    }
    gemm_fetch(f, s->at[0]);
    while (e->row < e->rows) gemm_row(j, e, sum, epilogue, bf16);
}

/* Each row block of a panel fetches other lines of the next one, a few of every step: in the order of the addresses they
 * arrived later. */
static gemm_ahead gemm_ahead_of(const gemm_pass *p, const unsigned char *next, int block)
{
    int lines = 2;
    while (lines < 32 && lines * (p->block_end - p->block) < 32) lines *= 2;
    const int first = (block - p->block) * lines;
    if (next == NULL || first >= 32) return (gemm_ahead){0};
    return (gemm_ahead){.panel = next + first % 8 * 64,
                        .chunk = first / 8,
                        .chunks = lines <= 8 ? 1 : lines / 8,
                        .lines = lines <= 8 ? lines : 8};
}

DD_INLINE void gemm_run_pass(const dd_gemm_job *j, const gemm_pass *p, dd_amx_gemm_scratch *s,
                             const dd_epilogue epilogue, const bool bf16)
{
    const dd_gemm_args *g = j->g;
    const int n = p->step_end - p->step, chunks = (n + DD_K_STEPS - 1) / DD_K_STEPS;
    const int64_t a_steps = g->lda / DD_STEP;
    float *prev = s->sum;
    gemm_pending e = {0};
    gemm_steps steps;
    for (int i = p->panel; i < p->panel_end; i++) {
        const dd_panel_bf16 panel = dd_panel_bf16_active(g->w, j->n_list, i);
        const uint16_t *next = i + 1 < p->panel_end ? dd_panel_bf16_active(g->w, j->n_list, i + 1).w : NULL;
        for (int group = p->block; group < p->block_end; group += DD_GROUP)
            for (int c = 0; c < chunks; c++) {
                const int k = p->step + n * c / chunks, k_end = p->step + n * (c + 1) / chunks;
                gemm_steps_set(j, (const unsigned char *)panel.w, k, k_end - k, s->gathered, &steps);
                for (int b = group; b < group + DD_GROUP && b < p->block_end; b++) {
                    const unsigned char *a = (const unsigned char *)g->a + (b * a_steps + k) * DD_STEP_BYTES;
                    const gemm_ahead f = gemm_ahead_of(p, (const unsigned char *)next, b);
                    float *part = s->part[b - group];
                    gemm_block(j, epilogue, bf16, a, &steps, j->m - (int64_t)b * DD_BLOCK > 16, prev, c ? part : NULL,
                               s->sum, &e, &f);
                    prev = part;
                    if (c + 1 < chunks) continue;
                    prev = s->sum;
                    e = gemm_pending_at(j, &panel, b, p->step == 0);
                }
            }
    }
    tile_store(0, prev, 64);
    tile_store(1, prev + 256, 64);
    tile_store(2, prev + 512, 64);
    tile_store(3, prev + 768, 64);
    while (e.row < e.rows) gemm_row(j, &e, s->sum, epilogue, bf16);
}

/* No active K: all sums are zero. */
DD_INLINE void gemm_no_sums(const dd_gemm_job *j, const gemm_pass *p, dd_amx_gemm_scratch *s,
                            const dd_epilogue epilogue, const bool bf16)
{
    memset(s->sum, 0, sizeof s->sum);
    for (int i = p->panel; i < p->panel_end; i++) {
        const dd_panel_bf16 panel = dd_panel_bf16_active(j->g->w, j->n_list, i);
        for (int b = p->block; b < p->block_end; b++) {
            gemm_pending e = gemm_pending_at(j, &panel, b, true);
            while (e.row < e.rows) gemm_row(j, &e, s->sum, epilogue, bf16);
        }
    }
}

DD_INLINE void gemm_share(const dd_gemm_job *j, const gemm_pass *share, dd_amx_gemm_scratch *s,
                          const dd_epilogue epilogue, const bool bf16)
{
    const int steps = (j->k_chunks + DD_STEP_CHUNKS - 1) / DD_STEP_CHUNKS;
    if (steps == 0) {
        gemm_no_sums(j, share, s, epilogue, bf16);
        return;
    }
    const int parts = epilogue == DD_EPI_RESIDUAL ? (steps + DD_CUT_STEPS - 1) / DD_CUT_STEPS : 1;
    int blocks = DD_PASS_STEPS * parts / steps;
    blocks = blocks < 4 ? 4 : blocks > DD_PASS_BLOCKS ? DD_PASS_BLOCKS : blocks;
    gemm_pass p = *share;
    for (p.block = share->block; p.block < share->block_end; p.block += blocks)
        for (int i = 0; i < parts; i++) {
            p.block_end = p.block + blocks < share->block_end ? p.block + blocks : share->block_end;
            p.step = (int)((int64_t)steps * i / parts);
            p.step_end = (int)((int64_t)steps * (i + 1) / parts);
            gemm_run_pass(j, &p, s, epilogue, bf16);
        }
}

static void gemm_task(void *arg, int item, int thread)
{
    const dd_amx_gemm_job *job = arg;
    const dd_gemm_job *j = &job->base;
    dd_amx_gemm_scratch *s = j->scratch[thread];
    const int64_t rows = item / job->panel_parts, panels = item % job->panel_parts;
    const gemm_pass share = {.block = (int)(j->blocks * rows / job->row_parts),
                             .block_end = (int)(j->blocks * (rows + 1) / job->row_parts),
                             .panel = (int)(j->panels * panels / job->panel_parts),
                             .panel_end = (int)(j->panels * (panels + 1) / job->panel_parts)};
    const bool bf16 = j->g->c_format != DD_FMT_F32;
    tile_begin();
    switch (j->g->epilogue) {
    case DD_EPI_BIAS:
        if (bf16) gemm_share(j, &share, s, DD_EPI_BIAS, true);
        else gemm_share(j, &share, s, DD_EPI_BIAS, false);
        break;
    case DD_EPI_GELU:
        if (bf16) gemm_share(j, &share, s, DD_EPI_GELU, true);
        else gemm_share(j, &share, s, DD_EPI_GELU, false);
        break;
    case DD_EPI_RESIDUAL: gemm_share(j, &share, s, DD_EPI_RESIDUAL, false); break;
    }
    tile_end();
    if (j->g->c_format != DD_FMT_BF16_BLOCKS || share.panel_end < j->panels) return;
    for (int64_t row = (int64_t)share.block * DD_BLOCK; row < (int64_t)share.block_end * DD_BLOCK && row < j->m; row++)
        bf16_blocks_finish(j->g->c, j->g->ldc, row, j->width);
}

static dd_status gemm_bf16(const dd_exec *exec, const dd_gemm_args *args)
{
    return dd_cpu_amx_gemm_run(exec, args, gemm_task);
}

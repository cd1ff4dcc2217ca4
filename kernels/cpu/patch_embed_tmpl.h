/* SPDX-License-Identifier: MIT
 * Formula: x[r,s,:] = W patch(latents[r mod B], s) + bias + pos[s,:].
 * Layout: a patch is [C,p,p], gathered into scratch; W in panels. Thread mapping: items of up to 64 tokens of the
 * images; the rows that share an image (conditional and null) are computed once.
 * Budget: scratch 64 x 48 accumulators and 16 KiB of patches. Preconditions: checked in patch_embed.c.
 * Precision: float32; one accumulator per element, k ascending; bias, then pos added. */
#include "kernels/cpu/work.h"

static void gather_patch(const dd_patch_embed_args *g, int64_t grid, int64_t token, float *dst)
{
    const int64_t s = grid * grid, row = token / s % g->b, size = g->size, p = g->p;
    const float *image = g->latents + row * g->c * size * size + token % s / grid * p * size + token % grid * p;
    for (int64_t c = 0; c < g->c; c++)
        for (int64_t y = 0; y < p; y++)
            for (int64_t x = 0; x < p; x++) *dst++ = image[(c * size + y) * size + x];
}

static void patch_embed_task(void *arg, int item, int thread)
{
    const dd_patch_job *j = arg;
    const dd_patch_embed_args *g = j->g;
    float *acc = j->scratch[thread], *patches = acc + DD_ROWS * DD_LD_ACC;
    const int64_t k = g->w->k, first = (int64_t)item * j->rows, s = j->grid * j->grid;
    const int rows = j->n - first < j->rows ? (int)(j->n - first) : j->rows;
    for (int r = 0; r < rows; r++) gather_patch(g, j->grid, first + r, patches + r * k);
    for (int i = 0; i < dd_panels_active(g->w, NULL); i++) {
        const dd_panel p = dd_panel_active(g->w, NULL, i);
        tile t = {.lda = k, .w = p.w, .ldw = p.width, .n_chunks = (int)(k / DD_CHUNK), .tail = (int)(k % DD_CHUNK)};
        t.ld_acc = DD_LD_ACC;
        for (int r = 0; r < rows; r += 8) {
            t.a = patches + r * k;
            t.acc = acc + r * DD_LD_ACC;
            micro_rows(&t, rows - r < 8 ? rows - r : 8);
        }
        for (int r = 0; r < rows; r++) {
            float *sum = acc + r * DD_LD_ACC;
            const float *pos = g->pos + (first + r) % s * g->d + p.col, *bias = g->bias + p.col;
            for (int c = 0; c < p.valid; c++) sum[c] = sum[c] + bias[c] + pos[c];
            for (int64_t row = first + r; row < g->r * s; row += g->b * s) /* all rows of this image */
                memcpy(g->x + row * g->d + p.col, sum, (size_t)p.valid * sizeof *sum);
        }
    }
}

static dd_status patch_embed(const dd_exec *exec, const dd_patch_embed_args *args)
{
    return dd_cpu_patch_embed_run(exec, args, patch_embed_task);
}

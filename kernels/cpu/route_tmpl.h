/* SPDX-License-Identifier: MIT
 * Formula: logit = w2 . ReLU(W1 x + b1) + b2 per token; mask = dd_logit_on(logit).
 * Layout: x [R*S,D] row-major, W1 in panels. Thread mapping: items of up to 64 tokens; the list is made in route.c.
 * Budget: scratch 64 x 48 accumulators and 64 vectors of lane sums. Preconditions: checked in route.c.
 * Precision: float32; one accumulator per hidden unit, k ascending; lane sums over panels, then a fixed tree. */
#include "kernels/cpu/work.h"

_Static_assert(DD_ROWS *DD_VL <= DD_PATCH_FLOATS, "lane sums fit behind the accumulators");

static void route_task(void *arg, int item, int thread)
{
    const dd_route_job *j = arg;
    const dd_route_args *g = j->g;
    float *acc = j->scratch[thread], *lanes = acc + DD_ROWS * DD_LD_ACC;
    const int64_t first = (int64_t)item * j->rows;
    const int rows = j->n - first < j->rows ? (int)(j->n - first) : j->rows;
    for (int i = 0; i < rows * DD_VL; i++) lanes[i] = 0;
    for (int i = 0; i < dd_panels_active(g->w1, NULL); i++) {
        const dd_panel p = dd_panel_active(g->w1, NULL, i);
        float b1[DD_PANEL] = {0}, w2[DD_PANEL] = {0};
        memcpy(b1, g->b1 + p.col, (size_t)p.valid * sizeof *b1);
        memcpy(w2, g->w2 + p.col, (size_t)p.valid * sizeof *w2);
        tile t = {.lda = g->d, .w = p.w, .ldw = p.width, .n_chunks = g->d / DD_CHUNK, .tail = g->d % DD_CHUNK};
        t.ld_acc = DD_LD_ACC;
        for (int r = 0; r < rows; r += 8) {
            t.a = g->x + (first + r) * g->d;
            t.acc = acc + r * DD_LD_ACC;
            micro_rows(&t, rows - r < 8 ? rows - r : 8);
        }
        for (int r = 0; r < rows; r++) {
            vf sum = vload(lanes + r * DD_VL);
            for (int v = 0; v < p.width; v += DD_VL) {
                const vf h = vmax(vsplat(0), vload(acc + r * DD_LD_ACC + v) + vload(b1 + v));
                sum = vfma(h, vload(w2 + v), sum);
            }
            vstore(lanes + r * DD_VL, sum);
        }
    }
    for (int r = 0; r < rows; r++) g->mask[first + r] = (uint8_t)dd_logit_on(vsum(vload(lanes + r * DD_VL)) + g->b2[0]);
}

static dd_status route(const dd_exec *exec, const dd_route_args *args)
{
    return dd_cpu_route_run(exec, args, route_task);
}

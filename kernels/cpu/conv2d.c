/* SPDX-License-Identifier: MIT
 * Front of the convolution: checks and the division into items. The work itself is conv2d_tmpl.h. */
#include "kernels/cpu/picture.h"

const _Alignas(64) float dd_cpu_zeros[DD_CONV_CHANNELS];

dd_status dd_cpu_conv2d_open(const dd_exec *exec, const dd_conv2d_args *args, int slab_k, dd_conv_job *j)
{
    const dd_conv2d_args *g = args;
    if (!dd_cpu_exec_ok(exec, DD_SCRATCH_MIN) || !dd_conv2d_ok(g)) return DD_ERR_ARG;
    if (g->w->n != g->n || g->w->unit != g->n || g->w->k != (int64_t)g->ksize * g->ksize * g->c) return DD_ERR_ARG;
    const int64_t size = (int64_t)dd_dtype_bytes(dd_format_dtype(g->src_format));
    *j = (dd_conv_job){.g = g, .scratch = exec->scratch, .shift = g->upsample != 0, .threads = dd_cpu_threads(exec)};
    j->m = (int64_t)g->b * g->h * g->w_out;
    j->pixel = g->c * size;
    j->line = (g->w_out >> j->shift) * j->pixel;
    j->picture = (g->h >> j->shift) * j->line;
    j->per_tap = (g->c + DD_CONV_CHANNELS - 1) / DD_CONV_CHANNELS;
    j->pieces = g->ksize * g->ksize * j->per_tap;
    const int most = slab_k / g->c, slab = most < 1 ? 1 : most < j->pieces ? most : j->pieces;
    const int slabs = (j->pieces + slab - 1) / slab;
    j->slab = (j->pieces + slabs - 1) / slabs;
    j->panels = dd_panels_active(g->w, NULL);
    j->mc = dd_cpu_item_rows(j->m, j->panels, j->threads);
    j->blocks = (j->m + j->mc - 1) / j->mc;
    return DD_OK;
}

/* SPDX-License-Identifier: MIT
 * Backend "cpu": threads and packed weights; the instruction set is chosen at run time, or forced by DYDIT_ISA. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/exec/backend_host.h"
#include "kernels/cpu/cpu.h"

/* Panels that one task of the pool packs. */
#define PANELS_PER_TASK 8

static size_t cpu_packed_bytes(dd_backend *be, const dd_weight_desc *desc)
{
    (void)be;
    return dd_cpu_packed_bytes(desc);
}

typedef struct pack_job {
    const dd_weight_desc *desc;
    dd_packed *packed;
    int panels;
    _Atomic int status; /* any failure; all failures of one weight say the same */
} pack_job;

static void pack_task(void *arg, int item, int thread)
{
    pack_job *j = arg;
    const int first = item * PANELS_PER_TASK, left = j->panels - first;
    (void)thread;
    const dd_status st = dd_cpu_pack_panels(j->packed, j->desc, first,
                                            first + (left < PANELS_PER_TASK ? left : PANELS_PER_TASK));
    if (st != DD_OK) j->status = (int)st;
}

static dd_status cpu_pack(dd_backend *be, const dd_weight_desc *desc, void *storage, dd_packed **out, dd_err *err)
{
    dd_host_backend *hb = (dd_host_backend *)be;
    pack_job j = {.desc = desc, .status = DD_OK};
    dd_status st = dd_cpu_pack_begin(desc, storage, &j.packed);
    if (st == DD_OK) {
        j.panels = dd_cpu_panels(j.packed);
        dd_pool_for(hb->pool, (j.panels + PANELS_PER_TASK - 1) / PANELS_PER_TASK, pack_task, &j);
        st = (dd_status)j.status;
    }
    *out = j.packed;
    return dd_pack_status(st, desc, err);
}

static size_t cpu_thread_scratch(const dd_limits *l)
{
    return dd_cpu_scratch_bytes(l->tokens, l->head_dim, l->router_hidden);
}

static dd_status choose_isa(dd_cpu_isa *isa, dd_err *err)
{
    const char *forced = getenv("DYDIT_ISA");
    const dd_cpu_isa best = dd_cpu_detect();
    *isa = best;
    if (!forced || !*forced) return DD_OK;
    for (int i = 0; i < DD_ISA_COUNT; i++) {
        if (strcmp(forced, dd_cpu_isa_name((dd_cpu_isa)i)) != 0) continue;
        if ((dd_cpu_isa)i > best || !dd_cpu_ops((dd_cpu_isa)i))
            return DD_FAIL(err, DD_ERR_UNSUPPORTED, "DYDIT_ISA=%s: this CPU or build stops at %s", forced,
                           dd_cpu_isa_name(best));
        *isa = (dd_cpu_isa)i;
        return DD_OK;
    }
    return DD_FAIL(err, DD_ERR_ARG, "DYDIT_ISA=%s is not known: portable, avx2 or avx512", forced);
}

dd_status dd_backend_open_cpu(dd_backend **out, int threads, dd_err *err)
{
    dd_host_backend *hb;
    dd_cpu_isa isa;
    DD_TRY(choose_isa(&isa, err));
    DD_TRY(dd_host_backend_new(&hb, threads, err));
    snprintf(hb->detail, sizeof hb->detail, "%s, %d thread%s", dd_cpu_isa_name(isa), hb->base.threads,
             hb->base.threads == 1 ? "" : "s");
    hb->base.name = "cpu";
    hb->base.ops = dd_cpu_ops(isa);
    hb->base.packed_bytes = cpu_packed_bytes;
    hb->base.pack = cpu_pack;
    hb->base.peak_macs = dd_cpu_backend_peak_macs;
    hb->base.peak_read = dd_cpu_backend_peak_read;
    hb->thread_scratch = cpu_thread_scratch;
    *out = &hb->base;
    return DD_OK;
}

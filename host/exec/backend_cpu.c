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

/* What DYDIT_ISA may name here, separated by commas. */
static void list_isas(char *text, size_t size)
{
    size_t n = 0;
    text[0] = 0;
    for (int i = 0; i < DD_ISA_COUNT; i++) {
        const dd_cpu_isa isa = (dd_cpu_isa)i;
        if (!dd_cpu_has(isa) || n >= size) continue;
        n += (size_t)snprintf(text + n, size - n, "%s%s%s", n ? ", " : "", dd_cpu_isa_name(isa),
                              dd_cpu_emulated(isa) ? " (emulated)" : "");
    }
}

/* DYDIT_ISA names one; with DYDIT_ISA_TRUST=1 the CPU is not asked, for hypervisors that hide instructions which work.
 * Where they do not, the program dies of an illegal instruction. */
static dd_status choose_isa(dd_cpu_isa *isa, dd_err *err)
{
    const char *forced = getenv("DYDIT_ISA"), *trust = getenv("DYDIT_ISA_TRUST");
    char there[96];
    if (!forced || !*forced) {
        *isa = dd_cpu_detect();
        return DD_OK;
    }
    for (int i = 0; i < DD_ISA_COUNT; i++) {
        *isa = (dd_cpu_isa)i;
        if (strcmp(forced, dd_cpu_isa_name(*isa)) != 0) continue;
        if (dd_cpu_has(*isa) || (trust && strcmp(trust, "1") == 0 && dd_cpu_may_have(*isa))) return DD_OK;
        list_isas(there, sizeof there);
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "DYDIT_ISA=%s: not on this CPU or not in this build; there are %s",
                       forced, there);
    }
    return DD_FAIL(err, DD_ERR_ARG, "DYDIT_ISA=%s is not known: portable, avx2, avx512, avx512bf16 or amx", forced);
}

dd_status dd_backend_open_cpu(dd_backend **out, int threads, dd_err *err)
{
    dd_host_backend *hb;
    dd_cpu_isa isa;
    DD_TRY(choose_isa(&isa, err));
    DD_TRY(dd_host_backend_new(&hb, threads, err));
    snprintf(hb->detail, sizeof hb->detail, "%s%s, %d thread%s", dd_cpu_isa_name(isa),
             dd_cpu_emulated(isa) ? " (emulated)" : "", hb->base.threads, hb->base.threads == 1 ? "" : "s");
    list_isas(hb->choices, sizeof hb->choices);
    hb->base.name = "cpu";
    hb->base.choices = hb->choices;
    if (dd_cpu_has_bf16(isa)) hb->base.bf16_input = DD_FMT_BF16_BLOCKS;
    hb->base.bf16_pictures = dd_cpu_has_bf16(isa);
    hb->base.prefers_bf16 = dd_cpu_prefers_bf16(isa);
    hb->base.ops = dd_cpu_ops(isa);
    hb->base.packed_bytes = cpu_packed_bytes;
    hb->base.pack = cpu_pack;
    hb->base.peak_macs = dd_cpu_backend_peak_macs;
    hb->base.peak_read = dd_cpu_backend_peak_read;
    hb->thread_scratch = cpu_thread_scratch;
    *out = &hb->base;
    return DD_OK;
}

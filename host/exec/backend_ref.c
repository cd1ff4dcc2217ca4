/* SPDX-License-Identifier: MIT
 * Backend "ref": obvious loops with double accumulation. */
#include <stdio.h>

#include "host/exec/backend_host.h"
#include "kernels/ref/ref.h"

static size_t ref_packed_bytes(dd_backend *be, const dd_weight_desc *desc)
{
    (void)be;
    return dd_ref_packed_bytes(desc);
}

static dd_status ref_pack(dd_backend *be, const dd_weight_desc *desc, void *storage, dd_packed **out, dd_err *err)
{
    (void)be;
    return dd_pack_status(dd_ref_pack(desc, storage, out), desc, err);
}

dd_status dd_backend_open_ref(dd_backend **out, int threads, dd_err *err)
{
    dd_host_backend *hb;
    DD_TRY(dd_host_backend_new(&hb, threads, err));
    snprintf(hb->detail, sizeof hb->detail, "double accumulation, %d thread%s", hb->base.threads,
             hb->base.threads == 1 ? "" : "s");
    hb->base.name = "ref";
    hb->base.bf16_input = DD_FMT_BF16;
    hb->base.fp16 = hb->base.tf32 = hb->base.bf16_pictures = true;
    hb->base.ops = &dd_ref_ops;
    hb->base.packed_bytes = ref_packed_bytes;
    hb->base.pack = ref_pack;
    *out = &hb->base;
    return DD_OK;
}

/* SPDX-License-Identifier: MIT
 * Convolutions by cuDNN on the backend `emu`, through host/exec/backend.h: a program of them run op by op and as a recorded
 * graph, whose plans are made before the capture. Prints `ok - NAME`, `not ok - NAME`. DYDIT_PLUGIN_PATH is the folder of
 * libdydit-emu.so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/exec/plugin.h"

#define SIDE 5
#define C \
    24 /* channels in and out: cut into three parts by the stand-in, so that its bits are not those of the own kernel */
#define TAPS 9
#define VALUES (SIDE * SIDE * C)

static int n_failed;

static void verdict(bool ok, const char *name, const dd_err *err)
{
    printf("%s - %s\n", ok ? "ok" : "not ok", name);
    if (!ok && err) printf("#   %s: %s\n", dd_status_name(err->status), err->text);
    n_failed += !ok;
}

typedef struct rig {
    dd_backend *be;
    void *src, *bias, *dst[2], *storage;
    dd_packed *w;
    dd_op ops[2];
    dd_err err;
} rig;

/* Of many exponents, so that sums are rounded. */
static float value(size_t i)
{
    const float v = (float)((int)(i * 2654435761u >> 8 & 0xff) - 128) / 67;
    return v * v * v / 4;
}

static bool filled(rig *r)
{
    static float w[C * TAPS * C], bias[C];
    static uint16_t pixels[VALUES];
    for (size_t i = 0; i < C * TAPS * C; i++) w[i] = value(i + 17);
    for (size_t i = 0; i < C; i++) bias[i] = value(i);
    for (size_t i = 0; i < VALUES; i++) pixels[i] = dd_f32_to_bf16(value(i + 5));
    const dd_weight_desc desc = {
        .name = "w", .data = w, .dtype = DD_F32, .n = C, .k = TAPS * C, .n_unit = C, .as = DD_BF16};
    dd_backend *be = r->be;
    return be->alloc(be, sizeof pixels, &r->src, &r->err) == DD_OK &&
           be->alloc(be, sizeof bias, &r->bias, &r->err) == DD_OK &&
           be->alloc(be, VALUES * sizeof(float), &r->dst[0], &r->err) == DD_OK &&
           be->alloc(be, VALUES * sizeof(float), &r->dst[1], &r->err) == DD_OK &&
           be->alloc(be, be->packed_bytes(be, &desc), &r->storage, &r->err) == DD_OK &&
           be->pack(be, &desc, r->storage, &r->w, &r->err) == DD_OK &&
           be->upload(be, r->src, pixels, sizeof pixels, &r->err) == DD_OK &&
           be->upload(be, r->bias, bias, sizeof bias, &r->err) == DD_OK;
}

/* dst[1] = conv(src) + dst[0], dst[0] = conv(src) */
static rig opened(dd_conv_by by)
{
    rig r = {0};
    const dd_limits limits = {.pictures = true, .pixels = DD_FMT_BF16};
    bool ok = dd_plugin_open(&r.be, "emu", 0, &r.err) == DD_OK &&
              r.be->engine->use_convolutions(r.be, by, &r.err) == DD_OK &&
              r.be->reserve(r.be, &limits, &r.err) == DD_OK && filled(&r);
    if (!ok) {
        printf("not ok - the backend opens\n#   %s\n", r.err.text);
        exit(1);
    }
    for (int i = 0; i < 2; i++) {
        r.ops[i] = (dd_op){.id = DD_OP_conv2d, .site = -1, .weight = -1, .label = "test.conv"};
        r.ops[i].args.conv2d = (dd_conv2d_args){.src = r.src,
                                                .w = r.w,
                                                .bias = r.bias,
                                                .residual = i ? r.dst[0] : NULL,
                                                .dst = r.dst[i],
                                                .src_format = DD_FMT_BF16,
                                                .dst_format = DD_FMT_F32,
                                                .b = 1,
                                                .h = SIDE,
                                                .w_out = SIDE,
                                                .c = C,
                                                .n = C,
                                                .ksize = 3};
    }
    return r;
}

static void closed(rig *r)
{
    void *const all[] = {r->src, r->bias, r->dst[0], r->dst[1], r->storage};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) r->be->release(r->be, all[i]);
    dd_backend_close(&r->be);
}

/* The result of the program in a rig of its own. */
static bool result(dd_conv_by by, bool record, float out[VALUES], dd_err *err)
{
    rig r = opened(by);
    dd_program p = {.ops = r.ops, .n_ops = 2};
    bool ok = !record || (r.be->record(r.be, &p, &r.err) == DD_OK && p.recorded && p.n_nodes == 2);
    ok = ok && r.be->run(r.be, &p, 0, &r.err) == DD_OK &&
         r.be->download(r.be, out, r.dst[1], VALUES * sizeof *out, &r.err) == DD_OK;
    *err = r.err;
    if (record) r.be->forget(r.be, &p);
    closed(&r);
    return ok;
}

int main(void)
{
    static float own[VALUES], plain[VALUES], recorded[VALUES], automatic[VALUES];
    dd_err err = {0};
    verdict(result(DD_CONV_OWN, true, own, &err), "own kernels, recorded", &err);
    verdict(result(DD_CONV_LIBRARY, false, plain, &err), "cuDNN, op by op", &err);
    verdict(result(DD_CONV_LIBRARY, true, recorded, &err), "cuDNN, recorded", &err);
    verdict(result(DD_CONV_AUTO, true, automatic, &err), "auto, recorded", &err);
    verdict(memcmp(plain, recorded, sizeof plain) == 0, "a graph has the plans of the library", NULL);
    verdict(memcmp(plain, automatic, sizeof plain) == 0, "with auto too", NULL);
    verdict(memcmp(plain, own, sizeof plain) != 0, "whose bits are not those of the own kernels", NULL);
    double worst = 0;
    for (int i = 0; i < VALUES; i++) {
        const double d = (double)plain[i] - (double)own[i];
        worst = d != d ? 1e9 : d > worst ? d : -d > worst ? -d : worst;
    }
    /* Each of the two has two sums of K = 216 products, below 4 each, and of bias and residual, in any order: off by
     * (K + 2) u of the sum of magnitudes, u = 2^-24. */
    verdict(worst <= 2 * 2 * 218.0 * 0x1p-24 * 218 * 4, "but near them", NULL);
    return n_failed != 0;
}

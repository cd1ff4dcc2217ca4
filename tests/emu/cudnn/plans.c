/* SPDX-License-Identifier: MIT
 * Asks an installed cuDNN, without a GPU, how it would do the convolutions of the decoder of sd-vae-ft-ema: the graphs that
 * host/exec/plugin_cuda_dnn.c states, for the device of a JSON file. scripts/cudnn_plans.sh runs it.
 *
 *   plans PROPERTIES     a line for each shape: which engine of the library, or who does it otherwise. Exit status 1: a
 *                        call failed; 77: the library cannot be used */
#include <stdio.h>

#include "host/exec/plugin_cuda.h"

typedef struct shape {
    int side, c, n, ksize;
    dd_format src, dst;
    bool residual;
} shape;

/* 256 x 256 pixels. In bf16 what is behind a norm, in float32 the rest. */
static const shape shapes[] = {
    {32, 512, 512, 3, DD_FMT_BF16, DD_FMT_F32, false},   {32, 512, 512, 3, DD_FMT_BF16, DD_FMT_F32, true},
    {32, 512, 1536, 1, DD_FMT_BF16, DD_FMT_BF16, false}, {32, 512, 512, 1, DD_FMT_BF16, DD_FMT_F32, true},
    {64, 512, 512, 3, DD_FMT_BF16, DD_FMT_F32, true},    {128, 512, 256, 3, DD_FMT_BF16, DD_FMT_F32, false},
    {128, 256, 256, 3, DD_FMT_BF16, DD_FMT_F32, true},   {256, 256, 128, 3, DD_FMT_BF16, DD_FMT_F32, false},
    {256, 128, 128, 3, DD_FMT_BF16, DD_FMT_F32, true},   {256, 128, 8, 3, DD_FMT_BF16, DD_FMT_F32, false},
    {256, 128, 128, 3, DD_FMT_F16, DD_FMT_F16, false},   {32, 8, 8, 1, DD_FMT_F32, DD_FMT_F32, false},
    {32, 8, 512, 3, DD_FMT_F32, DD_FMT_F32, false},      {128, 512, 256, 1, DD_FMT_F32, DD_FMT_F32, false},
    {256, 128, 128, 3, DD_FMT_F32, DD_FMT_F32, true},
};

static const char *name_of(dd_format f) { return f == DD_FMT_BF16 ? "bf16" : f == DD_FMT_F16 ? "fp16" : "fp32"; }

static int ask(dd_dnn *dnn, const shape *s)
{
    static float somewhere[2][4] __attribute__((aligned(16))); /* nothing is run */
    const dd_conv2d_args args = {.src = somewhere[0],
                                 .bias = somewhere[0],
                                 .residual = s->residual ? somewhere[0] : NULL,
                                 .dst = somewhere[1],
                                 .src_format = s->src,
                                 .dst_format = s->dst,
                                 .b = 4,
                                 .h = s->side,
                                 .w_out = s->side,
                                 .c = s->c,
                                 .n = s->n,
                                 .ksize = s->ksize};
    char text[128];
    const dd_status st = dd_cuda_dnn_prepare(dnn, &args);
    dd_cuda_dnn_describe(dnn, &args, text, sizeof text);
    printf("4 x %3d x %3d, %3d to %4d channels, %d x %d, %s to %s%-10s  %s\n", s->side, s->side, s->c, s->n, s->ksize,
           s->ksize, name_of(s->src), name_of(s->dst), s->residual ? ", residual" : "",
           st != DD_OK ? dd_cuda_dnn_error(dnn)
           : text[0]   ? text
                       : "own kernel");
    return st != DD_OK;
}

int main(int argc, char **argv)
{
    char json[4096] = "";
    dd_library library;
    dd_dnn *dnn;
    int failed = 0;
    FILE *f = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (!f || fread(json, 1, sizeof json - 1, f) == 0 || fclose(f) != 0) {
        fprintf(stderr, "usage: plans PROPERTIES.json\n");
        return 2;
    }
    const dd_dnn_api *api = dd_cuda_dnn_load(&library);
    printf("cuDNN %s %s\n", library.version, library.where);
    if (!api) return 77;
    const dd_dnn_setup setup = {.api = api, .workspace_bytes = DD_DNN_WORKSPACE, .properties = json};
    if (dd_cuda_dnn_open(&dnn, &setup) != DD_OK) {
        printf("%s\n", dd_cuda_dnn_error(dnn));
        failed = 1;
        dd_cuda_dnn_close(dnn);
        dnn = NULL;
    }
    for (size_t i = 0; dnn && i < sizeof shapes / sizeof shapes[0]; i++) failed |= ask(dnn, &shapes[i]);
    dd_cuda_dnn_close(dnn);
    return failed;
}

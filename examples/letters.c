/* SPDX-License-Identifier: MIT
 * The C interface in one function: samples the given letters and writes them as a PNG.
 *     letters MODEL.safetensors LETTERS OUT.png
 * check-args: models/glyphs.safetensors DYDIT {tmp}/letters.png */
#include <stdio.h>
#include <string.h>

#include "dydit.h"

#define MAX_LETTERS 64

static dydit_status draw(dydit_ctx *ctx, const char *path, const char *letters, const char *out)
{
    char names[2 * MAX_LETTERS] = ""; /* "H,E,L,L,O" */
    for (size_t i = 0; letters[i] && i < MAX_LETTERS; i++) {
        if (i > 0) names[2 * i - 1] = ',';
        names[2 * i] = letters[i];
    }
    dydit_model *model = NULL;
    dydit_result *result = NULL;
    int *labels = NULL;
    dydit_sample_options o;
    dydit_sample_options_init(&o, sizeof o);
    o.steps = "ddim50";
    o.cfg_scale = 2.0;
    dydit_status st = dydit_model_open(ctx, &model, path, NULL);
    if (st == DYDIT_OK) st = dydit_labels_parse(model, names, &labels, &o.n_images);
    o.labels = labels;
    if (st == DYDIT_OK) st = dydit_sample(model, &o, &result);
    dydit_png_options png;
    dydit_png_options_init(&png, sizeof png);
    png.nrow = (int)o.n_images;
    png.zoom = 3;
    if (st == DYDIT_OK) st = dydit_result_write_png(result, out, &png);
    dydit_result_close(&result);
    dydit_free(labels);
    dydit_model_close(&model);
    return st;
}

int main(int argc, char **argv)
{
    if (argc != 4 || strlen(argv[2]) < 1 || strlen(argv[2]) > MAX_LETTERS) {
        fprintf(stderr, "usage: %s MODEL.safetensors LETTERS OUT.png   (1 to %d letters)\n", argv[0], MAX_LETTERS);
        return 2;
    }
    dydit_ctx *ctx = NULL;
    dydit_status st = dydit_open(&ctx, NULL);
    if (st == DYDIT_OK) st = draw(ctx, argv[1], argv[2], argv[3]);
    if (st != DYDIT_OK) fprintf(stderr, "%s: %s\n", argv[0], ctx ? dydit_message(ctx) : "out of memory");
    dydit_close(&ctx);
    return st == DYDIT_OK ? 0 : 1;
}

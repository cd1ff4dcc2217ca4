/* SPDX-License-Identifier: MIT
 * Public API: models, labels, inspection. */
#include <stdlib.h>
#include <string.h>

#include "host/api_internal.h"
#include "host/model/inspect.h"
#include "host/model/labels.h"
#include "host/model/random.h"
#include "host/sample/rng.h"

dydit_status dydit_inspect(dydit_ctx *ctx, const char *path, const char *preset, dydit_format format, char **text)
{
    if (!ctx || !path || !text) return DYDIT_ERR_ARG;
    dd_api_begin(ctx);
    *text = NULL;
    const dd_inspect_spec spec = {path, preset, ctx->choice, format == DYDIT_JSON};
    return (dydit_status)dd_inspect(&spec, text, &ctx->err);
}

/* Begins a call that makes a model. */
static dd_status begin_model(dydit_ctx *ctx, dydit_model **out, const char *what)
{
    dd_api_begin(ctx);
    *out = NULL;
    if (!ctx->be) return DD_FAIL(&ctx->err, DD_ERR_ARG, "this context has no backend");
    *out = calloc(1, sizeof **out);
    if (!*out) return DD_FAIL(&ctx->err, DD_ERR_NOMEM, "%s: out of memory", what);
    (*out)->ctx = ctx;
    return DD_OK;
}

static dydit_status end_model(dydit_ctx *ctx, dydit_model **out, dd_status st)
{
    if (st != DD_OK) {
        free(*out);
        *out = NULL;
        return (dydit_status)st;
    }
    const dd_model *m = (*out)->m;
    const char *part = m->file ? dd_tensors_part(m->file) : "";
    dd_log_write(&ctx->log, DD_LOG_INFO, "%s: %s, %lld parameters%s%s", m->path, m->cfg.arch, (long long)m->n_params,
                 part[0] ? ", state dict " : "", part);
    return DYDIT_OK;
}

dydit_status dydit_model_open(dydit_ctx *ctx, dydit_model **out, const char *path, const char *preset)
{
    if (!ctx || !out || !path) return DYDIT_ERR_ARG;
    dd_status st = begin_model(ctx, out, path);
    dd_tensors *file = NULL;
    if (st == DD_OK) st = dd_checkpoint_open(&file, path, &ctx->choice, &ctx->err);
    if (st == DD_OK) st = dd_model_adopt(&(*out)->m, file, preset, &ctx->err);
    return end_model(ctx, out, st);
}

dydit_status dydit_model_random(dydit_ctx *ctx, dydit_model **out, const char *preset, int input_size, uint64_t seed)
{
    if (!ctx || !out || !preset) return DYDIT_ERR_ARG;
    const dd_random_spec spec = {.preset = preset, .input_size = input_size, .seed = seed};
    dd_status st = begin_model(ctx, out, preset);
    if (st == DD_OK) st = dd_random_model(&(*out)->m, &spec, &ctx->err);
    return end_model(ctx, out, st);
}

void dydit_model_close(dydit_model **model)
{
    if (!model || !*model) return;
    dd_weights_free(&(*model)->weights);
    dd_model_close(&(*model)->m);
    free(*model);
    *model = NULL;
}

dydit_status dydit_model_get_info(const dydit_model *model, dydit_model_info *info)
{
    dydit_model_info full;
    if (!model || !info) return DYDIT_ERR_ARG;
    dd_api_begin(model->ctx);
    const dd_status st = dd_api_options(&full, sizeof full, info, "dydit_model_info", &model->ctx->err);
    if (st != DD_OK) return (dydit_status)st;
    const dd_config *c = &model->m->cfg;
    full = (dydit_model_info){.size = info->size,
                              .arch = c->arch,
                              .input_size = c->input_size,
                              .patch_size = c->patch_size,
                              .in_channels = c->in_channels,
                              .hidden_size = c->hidden_size,
                              .depth = c->depth,
                              .num_heads = c->num_heads,
                              .num_classes = c->num_classes,
                              .cfg_channels = c->cfg_channels,
                              .tokens = c->tokens,
                              .dynamic = c->dynamic,
                              .has_labels = c->labels != NULL,
                              .is_latent = c->in_channels != 1 && c->in_channels != 3,
                              .parameters = model->m->n_params};
    memcpy(info, &full, info->size);
    return DYDIT_OK;
}

const char *dydit_label_name(const dydit_model *model, int label)
{
    if (!model || !model->m->cfg.labels || label < 0 || label >= model->m->cfg.num_classes) return NULL;
    return model->m->cfg.labels[label];
}

dydit_status dydit_labels_parse(const dydit_model *model, const char *spec, int **labels, int64_t *n)
{
    if (!model || !spec || !labels || !n) return DYDIT_ERR_ARG;
    dd_api_begin(model->ctx);
    *labels = NULL;
    return (dydit_status)dd_labels_parse(&model->m->cfg, spec, labels, n, &model->ctx->err);
}

dydit_status dydit_labels_random(const dydit_model *model, uint64_t seed, int64_t first, int64_t n, int *out)
{
    if (!model || !out || n < 0 || first < 0) return DYDIT_ERR_ARG;
    dd_api_begin(model->ctx);
    for (int64_t i = 0; i < n; i++)
        out[i] = (int)dd_label_hash(seed, (uint64_t)(first + i), (uint32_t)model->m->cfg.num_classes);
    return DYDIT_OK;
}

dd_status dd_api_weights(dydit_model *model, dd_err *err)
{
    dydit_ctx *ctx = model->ctx;
    if (ctx->why_unsaid) dd_log_write(&ctx->log, ctx->why_level, "%s", ctx->why);
    ctx->why_unsaid = false;
    if (model->weights) return DD_OK;
    const dd_dtype operand = dd_format_dtype(ctx->input);
    return dd_weights_load(&model->weights, model->m, ctx->be, operand, err);
}

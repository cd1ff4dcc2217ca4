/* SPDX-License-Identifier: MIT
 * What an evaluation set is made of. Everything that may change a byte of it is in here, and nothing else: two runs whose
 * settings are equal draw the same set. The number of threads, the batch size (unless the library of a device
 * multiplies) and the names of files do not. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api_internal.h"
#include "host/base/str.h"
#include "host/io/crc.h"

static void put_hex(json_t *o, const char *key, int digits, uint64_t value)
{
    char hex[32];
    snprintf(hex, sizeof hex, "%0*" PRIx64, digits, value);
    json_object_set_new(o, key, json_string(hex));
}

/* The id of a model is of names, shapes and routers; this is of every value as stored. */
static uint32_t weights_crc(const dd_tensors *file)
{
    uint32_t crc = 0;
    for (int i = 0; i < dd_tensors_count(file); i++) {
        const dd_tensor *t = dd_tensors_at(file, i);
        crc = dd_crc32(crc, t->name, strlen(t->name));
        crc = dd_crc32(crc, t->data, t->bytes);
    }
    return crc;
}

static void put_labels(json_t *o, const dydit_model *model, const dydit_sample_options *opt)
{
    bool uniform = true;
    int wanted = 0;
    for (int64_t i = 0; i < opt->n_images && uniform; i++)
        uniform = dydit_labels_random(model, opt->seed, i, 1, &wanted) == DYDIT_OK && wanted == opt->labels[i];
    json_object_set_new(o, "labels", json_string(uniform ? "uniform, a hash of (seed, picture)" : "given"));
    put_hex(o, "labels_crc32", 8, dd_crc32(0, opt->labels, (size_t)opt->n_images * sizeof *opt->labels));
}

/* "cpu (avx512)": the backend without its number of threads. */
static void put_backend(json_t *o, const dydit_model *model)
{
    const dd_backend *be = model->ctx->be;
    dd_str text = {0};
    const char *threads = strstr(be->detail, " thread"), *end = threads;
    while (end && end > be->detail && end[-1] != ',') end--;
    const size_t n = end && end > be->detail ? (size_t)(end - 1 - be->detail) : strlen(be->detail);
    dd_str_addf(&text, "%s (%.*s)", be->name, (int)n, be->detail);
    json_object_set_new(o, "backend", json_string(text.data ? text.data : be->name));
    dd_str_free(&text);
}

static dd_status put_vae(json_t *o, const dydit_set_options *set, dd_err *err)
{
    dydit_decode_options d;
    dydit_decode_options_init(&d, sizeof d);
    d.tiling = DYDIT_TILING_OFF;
    DD_TRY(dd_api_options(&d, sizeof d, set->decode, "dydit_decode_options", err));
    if (!set->vae) {
        json_object_set_new(o, "vae", json_null());
        return DD_OK;
    }
    if (d.tiling != DYDIT_TILING_OFF && d.tiling != DYDIT_TILING_ON)
        return DD_FAIL(err, DD_ERR_ARG, "%s: a set is decoded in tiles or not, whatever memory there is", set->npz);
    const dd_vae_config *c = &set->vae->v->cfg;
    json_t *vae = json_object();
    put_hex(vae, "weights_crc32", 8, weights_crc(set->vae->v->file));
    json_object_set_new(vae, "factor", json_integer(dd_vae_factor(c)));
    json_object_set_new(vae, "groups", json_integer(c->groups));
    json_object_set_new(vae, "scaling", json_real((double)c->scaling));
    if (d.tiling == DYDIT_TILING_ON) {
        const int size = d.tile_size ? d.tile_size : dd_vae_tile(c);
        json_object_set_new(vae, "tile_size", json_integer(size));
        json_object_set_new(vae, "tile_overlap", json_real(d.tile_overlap));
    }
    char engine[96];
    if (dd_api_vae_engine_text(set->vae->ctx, engine, sizeof engine)) { /* sums depend on the batch */
        json_object_set_new(vae, "engine", json_string(engine));
        json_object_set_new(vae, "batch_size", json_integer(d.batch_size));
    }
    json_object_set_new(o, "vae", vae);
    return DD_OK;
}

static dd_status put_plan(json_t *o, const dydit_model *model, const dd_settings *s, const dydit_sample_options *opt,
                          dd_err *err)
{
    dd_plan *plan = NULL;
    DD_TRY(dd_settings_plan(&plan, s, model, opt->plan ? opt->plan->plan : NULL, err));
    json_object_set_new(o, "policy", json_string(plan->policy));
    put_hex(o, "plan_table", 16, dd_plan_hash(plan));
    if (plan->other) {
        json_t *other = dd_switch_doc(s);
        json_object_set_new(other, "numerics", json_string(s->later->m->cfg.diffusers ? "diffusers" : "official"));
        put_hex(other, "weights_crc32", 8, weights_crc(s->later->m->file));
        json_object_set_new(o, "switch", other);
    }
    dd_plan_free(&plan);
    return DD_OK;
}

dd_status dd_set_settings(json_t **out, const dydit_model *model, const dydit_sample_options *opt,
                          const dydit_set_options *set, dd_err *err)
{
    dd_settings s;
    char engine[96];
    *out = NULL;
    DD_TRY(dd_settings_resolve(&s, model, opt, err));
    const int side = dd_rgb_side(model, set->vae);
    json_t *o = json_object();
    json_object_set_new(o, "shape", json_pack("[Iiii]", (json_int_t)opt->n_images, side, side, 3));
    json_object_set_new(o, "version", json_string(dydit_version()));
    json_object_set_new(o, "arch", json_string(model->m->cfg.arch));
    json_object_set_new(o, "numerics", json_string(model->m->cfg.diffusers ? "diffusers" : "official"));
    put_hex(o, "model_id", 16, model->m->id);
    put_hex(o, "weights_crc32", 8, weights_crc(model->m->file));
    dd_settings_put(o, &s);
    put_labels(o, model, opt);
    put_backend(o, model);
    if (dd_api_engine_text(model->ctx, engine,
                           sizeof engine)) { /* who multiplies, or how, depends on the number of rows */
        json_object_set_new(o, "engine", json_string(engine));
        json_object_set_new(o, "batch_size", json_integer(s.batch_size));
    }
    dd_status st = put_vae(o, set, err);
    if (st == DD_OK) st = put_plan(o, model, &s, opt, err);
    if (st == DD_OK) *out = o;
    else json_decref(o);
    return st;
}

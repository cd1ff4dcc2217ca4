/* SPDX-License-Identifier: MIT
 * Public API: evaluation sets. The order of files at the end: OUT.json, then OUT.npz under its name, so that a set that is
 * there has its protocol beside it. */
#define _POSIX_C_SOURCE 200809L
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/api_internal.h"
#include "host/base/str.h"
#include "host/io/json.h"
#include "host/io/npz_file.h"
#include "host/io/npz_state.h"
#include "host/io/outfile.h"

#define SCHEMA "dydit-set"
#define SCHEMA_VERSION 1

struct dydit_set {
    dydit_model *model;
    dydit_vae *vae; /* or NULL */
    dd_npz_shape shape;
    dd_npz_file *file; /* NULL: the set is whole, there is nothing to write */
    char *protocol;    /* path of OUT.json */
    json_t *doc;       /* what it will say */
    uint8_t *pixels;   /* [room,side,side,3] */
    int64_t room;
};

void dydit_set_options_init(dydit_set_options *o, size_t size)
{
    const dydit_set_options defaults = {.size = size};
    dd_api_defaults(o, size, &defaults, sizeof defaults);
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static dd_status check_options(const dydit_model *model, const dydit_sample_options *whole, const dydit_set_options *o,
                               dd_err *err)
{
    const size_t n = o->npz ? strlen(o->npz) : 0;
    if (n == 0) return DD_FAIL(err, DD_ERR_ARG, "the set of pictures has no name");
    if (n < 5 || strcmp(o->npz + n - 4, ".npz") != 0)
        return DD_FAIL(err, DD_ERR_ARG, "%s: the name of a set of pictures ends with .npz", o->npz);
    if (!whole->labels) return DD_FAIL(err, DD_ERR_ARG, "%s: labels are missing", o->npz);
    if (whole->image_first != 0)
        return DD_FAIL(err, DD_ERR_ARG, "%s: a set begins with picture 0, not %lld", o->npz,
                       (long long)whole->image_first);
    if (whole->seed_mode == DYDIT_SEED_BATCH)
        return DD_FAIL(err, DD_ERR_ARG, "%s: a set needs a random stream for every picture, not one for all", o->npz);
    if (whole->latents_in || whole->noise_in)
        return DD_FAIL(err, DD_ERR_ARG, "%s: a set is drawn from its seed, not from %s", o->npz,
                       whole->latents_in ? whole->latents_in : whole->noise_in);
    DD_TRY(dd_rgb_check(model, o->vae, o->npz, err));
    return dd_outfile_check(o->npz, err);
}

static dd_status name_protocol(dydit_set *s, const char *npz, dd_err *err)
{
    dd_str path = {0};
    dd_str_addf(&path, "%.*s.json", (int)strlen(npz) - 4, npz);
    const dd_status st = dd_str_take(&path, &s->protocol, err);
    return st == DD_OK ? dd_outfile_check(s->protocol, err) : st;
}

static void put_text(json_t *doc, const char *key, const char *text)
{
    json_object_set_new(doc, key, text ? json_string(text) : json_null());
}

static dd_status make_doc(dydit_set *s, const dydit_sample_options *whole, const dydit_set_options *o, dd_err *err)
{
    json_t *settings;
    DD_TRY(dd_set_settings(&settings, s->model, whole, o, err));
    json_t *doc = s->doc = json_object();
    put_text(doc, "schema", SCHEMA);
    json_object_set_new(doc, "schema_version", json_integer(SCHEMA_VERSION));
    put_text(doc, "npz", file_name(o->npz));
    put_text(doc, "model_file", file_name(s->model->m->path));
    put_text(doc, "vae_file", o->vae ? file_name(o->vae->v->path) : NULL);
    put_text(doc, "preset", o->preset);
    put_text(doc, "deviates", o->deviates);
    json_object_set_new(doc, "settings", settings);
    return DD_OK;
}

/* Is the set there under its name, with nothing left to go on with? Then its protocol must say the same. */
static void remove_state(const char *npz)
{
    dd_str state = {0};
    dd_str_addf(&state, "%s.state", npz);
    if (!state.failed) (void)unlink(state.data);
    dd_str_free(&state);
}

static dd_status find_whole(const dydit_set *s, const dydit_set_options *o, bool *whole, dd_err *err)
{
    dd_str partial = {0};
    json_t *doc = NULL, *then;
    dd_str_addf(&partial, "%s.partial", o->npz);
    if (partial.failed) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", o->npz);
    *whole = o->resume && access(o->npz, F_OK) == 0 && access(partial.data, F_OK) != 0;
    dd_str_free(&partial);
    if (!*whole) return DD_OK;
    dd_status st = dd_json_read_file(&doc, s->protocol, err);
    if (st == DD_OK) st = dd_json_object(doc, "settings", s->protocol, &then, err);
    if (st == DD_OK) st = dd_npz_same_settings(then, json_object_get(s->doc, "settings"), s->protocol, err);
    json_decref(doc);
    if (st == DD_OK) remove_state(o->npz); /* of a run that was killed when all was done */
    return st;
}

static dd_status open_set(dydit_set *s, const dydit_sample_options *whole, const dydit_set_options *o, dd_err *err)
{
    bool is_whole = false;
    DD_TRY(check_options(s->model, whole, o, err));
    const int side = dd_rgb_side(s->model, o->vae);
    s->shape = (dd_npz_shape){whole->n_images, side, side};
    DD_TRY(dd_npz_check(&s->shape, o->npz, err));
    DD_TRY(name_protocol(s, o->npz, err));
    DD_TRY(make_doc(s, whole, o, err));
    DD_TRY(find_whole(s, o, &is_whole, err));
    if (is_whole) return DD_OK;
    const dd_npz_begin begin = {o->npz, s->shape, json_object_get(s->doc, "settings"), o->resume != 0};
    return dd_npz_file_open(&s->file, &begin, err);
}

dydit_status dydit_set_open(dydit_set **set, dydit_model *model, const dydit_sample_options *whole,
                            const dydit_set_options *options)
{
    dydit_sample_options w;
    dydit_set_options o;
    if (!set || !model || !options) return DYDIT_ERR_ARG;
    dd_err *err = &model->ctx->err;
    dd_api_begin(model->ctx);
    dydit_sample_options_init(&w, sizeof w);
    dydit_set_options_init(&o, sizeof o);
    dydit_set *s = *set = calloc(1, sizeof *s);
    dd_status st = s ? DD_OK : DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a set of pictures");
    if (st == DD_OK) st = dd_api_options(&w, sizeof w, whole, "dydit_sample_options", err);
    if (st == DD_OK) st = dd_api_options(&o, sizeof o, options, "dydit_set_options", err);
    if (st == DD_OK) {
        s->model = model;
        s->vae = o.vae;
        st = open_set(s, &w, &o, err);
    }
    if (st != DD_OK) dydit_set_close(set);
    return (dydit_status)st;
}

int64_t dydit_set_done(const dydit_set *s) { return !s ? 0 : s->file ? dd_npz_file_done(s->file) : s->shape.n; }

static dd_status add(dydit_set *s, const dydit_result *r, dd_err *err)
{
    const int64_t done = dydit_set_done(s);
    if (r->model != s->model || r->first != done)
        return DD_FAIL(err, DD_ERR_ARG, "picture %lld comes next in the set, not picture %lld%s", (long long)done,
                       (long long)r->first, r->model == s->model ? "" : " of another model");
    if (r->n > s->room) {
        free(s->pixels);
        s->room = 0;
        s->pixels = calloc((size_t)r->n, (size_t)dd_npz_image_bytes(&s->shape));
        if (!s->pixels) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for %lld pictures", (long long)r->n);
        s->room = r->n;
    }
    DD_TRY(dd_rgb_pictures(r, s->vae, s->pixels, err));
    return dd_npz_file_append(s->file, s->pixels, r->n, err);
}

dydit_status dydit_set_add(dydit_set *s, const dydit_result *result)
{
    if (!s || !result) return DYDIT_ERR_ARG;
    dd_api_begin(s->model->ctx);
    if (!s->file)
        return (dydit_status)DD_FAIL(&s->model->ctx->err, DD_ERR_ARG, "the set is whole, nothing is added to it");
    return (dydit_status)add(s, result, &s->model->ctx->err);
}

static dd_status commit(dydit_set *s, dd_err *err)
{
    char *text = NULL;
    json_object_set_new(s->doc, "crc32", json_integer(dd_npz_file_crc(s->file)));
    dd_status st = dd_json_print(s->doc, &text, err);
    if (st == DD_OK) st = dd_outfile_text(s->protocol, text, err);
    free(text);
    if (st == DD_OK) st = dd_npz_file_commit(s->file, err);
    if (st == DD_OK) dd_npz_file_close(&s->file);
    return st;
}

dydit_status dydit_set_commit(dydit_set *s)
{
    if (!s) return DYDIT_ERR_ARG;
    dd_api_begin(s->model->ctx);
    if (!s->file) return DYDIT_OK;
    if (dydit_set_done(s) != s->shape.n)
        return (dydit_status)DD_FAIL(&s->model->ctx->err, DD_ERR_ARG, "only %lld of %lld pictures are in the set",
                                     (long long)dydit_set_done(s), (long long)s->shape.n);
    return (dydit_status)commit(s, &s->model->ctx->err);
}

void dydit_set_close(dydit_set **set)
{
    if (!set || !*set) return;
    dydit_set *s = *set;
    dd_npz_file_close(&s->file);
    json_decref(s->doc);
    free(s->protocol);
    free(s->pixels);
    free(s);
    *set = NULL;
}

/* SPDX-License-Identifier: MIT
 * Inspection: everything is gathered into one JSON document; the text form prints from it. */
#include "host/model/inspect.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/str.h"
#include "host/io/json.h"
#include "host/model/dwa.h"
#include "host/model/keys.h"
#include "host/model/model.h"
#include "host/model/vae.h"

/* Largest lists of names that the text form prints. */
#define TEXT_NAMES 12

static json_t *shape_of(const dd_tensor *t)
{
    json_t *a = json_array();
    for (int i = 0; i < t->rank; i++) json_array_append_new(a, json_integer(t->shape[i]));
    return a;
}

static void add_tensors(json_t *doc, const dd_tensors *f)
{
    json_t *list = json_array();
    for (int i = 0; i < dd_tensors_count(f); i++) {
        const dd_tensor *t = dd_tensors_at(f, i);
        json_t *o = json_object();
        json_object_set_new(o, "name", json_string(t->name));
        json_object_set_new(o, "dtype", json_string(t->dtype_name));
        json_object_set_new(o, "shape", shape_of(t));
        json_array_append_new(list, o);
    }
    json_object_set_new(doc, "tensors", list);
}

static void add_meta(json_t *doc, const dd_tensors *f)
{
    json_t *meta = json_object();
    for (int i = 0; i < dd_tensors_meta_count(f); i++) {
        const char *k, *v;
        dd_tensors_meta_at(f, i, &k, &v);
        json_object_set_new(meta, k, json_string(v));
    }
    json_object_set_new(doc, "metadata", meta);
}

static void add_averages(json_t *doc, const dd_config *c)
{
    int modules = 0, weights = 0;
    for (int i = 1; i <= dd_dwa_units(c); i++) {
        if (!dd_dwa_averages(c, i)) continue;
        modules++;
        weights += dd_dwa_weights(c, i);
    }
    if (modules == 0) return;
    json_t *o = json_object();
    json_object_set_new(o, "names", json_string(dd_dwa_names_text(c->dwa.names)));
    json_object_set_new(o, "blocks", json_integer(c->dwa.span));
    json_object_set_new(o, "dilation", json_integer(c->dwa.dilation));
    json_object_set_new(o, "period", json_integer(c->dwa.period));
    json_object_set_new(o, "averages", json_integer(modules));
    json_object_set_new(o, "weights", json_integer(weights));
    json_object_set_new(o, "held", json_integer(dd_dwa_held(c)));
    json_object_set_new(doc, "averages", o);
}

static void add_config(json_t *doc, const dd_config *c)
{
    const struct {
        const char *name;
        int value;
    } field[] = {{"input_size", c->input_size},
                 {"patch_size", c->patch_size},
                 {"in_channels", c->in_channels},
                 {"hidden_size", c->hidden_size},
                 {"depth", c->depth},
                 {"num_heads", c->num_heads},
                 {"mlp_hidden", c->mlp_hidden},
                 {"num_classes", c->num_classes},
                 {"cfg_channels", c->cfg_channels},
                 {"learn_sigma", c->learn_sigma},
                 {"tokens", c->tokens},
                 {"head_dim", c->head_dim},
                 {"group_size", c->group_size}};
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof field / sizeof field[0]; i++)
        json_object_set_new(o, field[i].name, json_integer(field[i].value));
    json_object_set_new(doc, "arch", json_string(c->arch));
    json_object_set_new(doc, "compat", json_string(c->diffusers ? "diffusers" : "official"));
    json_object_set_new(doc, "dynamic", json_boolean(c->dynamic));
    json_object_set_new(doc, "config", o);
    add_averages(doc, c);
    if (!c->labels) return;
    json_t *labels = json_array();
    for (int i = 0; i < c->num_classes; i++) json_array_append_new(labels, json_string(c->labels[i]));
    json_object_set_new(doc, "labels", labels);
}

/* Names that the architecture wants and the file lacks, and the other way round; parameters of the network's own. */
static dd_status add_keys(json_t *doc, const dd_config *c, const dd_tensors *f, dd_err *err)
{
    dd_key *keys = NULL;
    int n = 0;
    int64_t params = 0, routers = 0;
    DD_TRY(dd_dit_keys(c, &keys, &n, err));
    json_t *missing = json_array(), *unexpected = json_array();
    for (int i = 0; i < n; i++) {
        const dd_tensor *t = dd_tensors_find(f, keys[i].name);
        if (!t) json_array_append_new(missing, json_string(keys[i].name));
        else params += t->count;
        if (t && keys[i].router) routers += t->count;
    }
    for (int i = 0; i < dd_tensors_count(f); i++)
        if (!dd_key_find(keys, n, dd_tensors_at(f, i)->name))
            json_array_append_new(unexpected, json_string(dd_tensors_at(f, i)->name));
    free(keys);
    json_object_set_new(doc, "parameters", json_integer(params));
    json_object_set_new(doc, "router_parameters", json_integer(routers));
    json_object_set_new(doc, "missing", missing);
    json_object_set_new(doc, "unexpected", unexpected);
    return DD_OK;
}

/* A file that is none of our networks may hold the decoder of latents; why: the sentence about what it lacks for that. */
static void add_decoder(json_t *doc, const char *path, dd_err *why)
{
    dd_vae *vae = NULL;
    dd_err_clear(why);
    if (dd_vae_open(&vae, path, why) != DD_OK) return;
    const dd_vae_config *c = &vae->cfg;
    json_t *channels = json_array();
    for (int i = 0; i < c->levels; i++) json_array_append_new(channels, json_integer(c->channels[i]));
    json_object_set_new(doc, "arch", json_string("AutoencoderKL decoder"));
    json_object_set_new(doc, "decoder",
                        json_pack("{sssisisisosf}", "layout", dd_vae_layout_name(vae->layout), "latent_channels",
                                  c->latent_channels, "factor", dd_vae_factor(c), "groups", c->groups, "channels",
                                  channels, "scaling_factor", (double)c->scaling));
    json_object_set_new(doc, "parameters", json_integer((json_int_t)vae->parameters));
    (void)DD_FAIL(why, DD_ERR_UNSUPPORTED, "it decodes latents: give it after --vae");
    dd_vae_close(&vae);
}

static dd_status open_model(dd_model **m, const dd_inspect_spec *spec, dd_err *why)
{
    dd_tensors *f = NULL;
    DD_TRY(dd_checkpoint_open(&f, spec->path, &spec->choice, why));
    return dd_model_adopt(m, f, spec->preset, why);
}

static dd_status build(json_t *doc, const dd_inspect_spec *spec, dd_err *err)
{
    dd_tensors *f = NULL;
    dd_config c = {0};
    dd_model *m = NULL;
    dd_err why = {0};
    DD_TRY(dd_checkpoint_open(&f, spec->path, &spec->choice, err));
    json_object_set_new(doc, "file", json_string(spec->path));
    json_object_set_new(doc, "format", json_string(dd_tensors_format(f)));
    if (dd_tensors_part(f)[0]) json_object_set_new(doc, "taken", json_string(dd_tensors_part(f)));
    json_object_set_new(doc, "bytes", json_integer((json_int_t)dd_tensors_bytes(f)));
    add_meta(doc, f);
    dd_status st = DD_OK;
    if (dd_config_from_file(&c, f, spec->preset, &why) == DD_OK) {
        add_config(doc, &c);
        st = add_keys(doc, &c, f, err);
        dd_config_fini(&c);
        if (st == DD_OK && open_model(&m, spec, &why) == DD_OK) {
            char id[32];
            snprintf(id, sizeof id, "%016" PRIx64, m->id);
            json_object_set_new(doc, "model_id", json_string(id));
        }
    } else if (dd_vae_recognize(f)) {
        add_decoder(doc, spec->path, &why);
    }
    add_tensors(doc, f);
    json_object_set_new(doc, "runs", json_boolean(m != NULL));
    if (!m) json_object_set_new(doc, "problem", json_string(why.text));
    dd_model_close(&m);
    dd_tensors_close(&f);
    return st;
}

static const char *str(const json_t *doc, const char *key)
{
    const char *s = json_string_value(json_object_get(doc, key));
    return s ? s : "";
}

static long long num(const json_t *doc, const char *key)
{
    return (long long)json_integer_value(json_object_get(doc, key));
}

static void text_names(dd_str *s, const json_t *doc, const char *key)
{
    const json_t *list = json_object_get(doc, key);
    const size_t n = json_array_size(list);
    if (!list) return;
    dd_str_addf(s, "%-11s %zu%s", key, n, n ? ":" : "");
    for (size_t i = 0; i < n && i < TEXT_NAMES; i++) dd_str_addf(s, " %s", json_string_value(json_array_get(list, i)));
    dd_str_add(s, n > TEXT_NAMES ? " …\n" : "\n");
}

static void text_averages(dd_str *s, const json_t *a)
{
    if (!a) return;
    dd_str_addf(s,
                "averages    %lldx%lld (dilation x period) over outputs of %lld block%s, %lld of %lld weights, names "
                "of the %s\n",
                num(a, "dilation"), num(a, "period"), num(a, "blocks"), num(a, "blocks") == 1 ? "" : "s",
                num(a, "averages"), num(a, "weights"), str(a, "names"));
    dd_str_addf(s, "history     at most %lld earlier outputs are kept\n", num(a, "held"));
}

static void text_config(dd_str *s, const json_t *doc)
{
    const json_t *c = json_object_get(doc, "config");
    if (!c) return;
    dd_str_addf(s, "arch        %s\n", str(doc, "arch"));
    dd_str_addf(s, "geometry    %lldx%lldx%lld in, patch %lld, %lld tokens, width %lld, %lld blocks\n",
                num(c, "in_channels"), num(c, "input_size"), num(c, "input_size"), num(c, "patch_size"),
                num(c, "tokens"), num(c, "hidden_size"), num(c, "depth"));
    dd_str_addf(s, "units       %lld heads of %lld, %lld MLP groups of %lld%s\n", num(c, "num_heads"),
                num(c, "head_dim"), num(c, "num_heads"), num(c, "group_size"),
                json_is_true(json_object_get(doc, "dynamic")) ? ", switched by routers" : ", always on (no routers)");
    dd_str_addf(s, "classes     %lld, guidance on %lld channels, %s variance%s\n", num(c, "num_classes"),
                num(c, "cfg_channels"), num(c, "learn_sigma") ? "learned" : "fixed",
                strcmp(str(doc, "compat"), "diffusers") == 0 ? " that is not used, numerics of diffusers" : "");
    text_averages(s, json_object_get(doc, "averages"));
    const json_t *labels = json_object_get(doc, "labels");
    if (labels)
        dd_str_addf(s, "labels      %s … %s\n", json_string_value(json_array_get(labels, 0)),
                    json_string_value(json_array_get(labels, json_array_size(labels) - 1)));
    dd_str_addf(s, "parameters  %lld, of which routers %lld\n", num(doc, "parameters"), num(doc, "router_parameters"));
}

static void text_decoder(dd_str *s, const json_t *doc)
{
    const json_t *d = json_object_get(doc, "decoder");
    if (!d) return;
    dd_str_addf(s, "arch        %s, names of %s\n", str(doc, "arch"), str(d, "layout"));
    dd_str_addf(s,
                "geometry    %lld channels of latents, %lld x %lld pixels for one, norms of %lld groups, scaling %g\n",
                num(d, "latent_channels"), num(d, "factor"), num(d, "factor"), num(d, "groups"),
                json_real_value(json_object_get(d, "scaling_factor")));
    dd_str_addf(s, "parameters  %lld\n", num(doc, "parameters"));
}

static void text_tensors(dd_str *s, const json_t *doc)
{
    const json_t *list = json_object_get(doc, "tensors");
    dd_str_addf(s, "tensors     %zu\n", json_array_size(list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *t = json_array_get(list, i), *shape = json_object_get(t, "shape");
        dd_str_addf(s, "  %-50s %-5s [", str(t, "name"), str(t, "dtype"));
        for (size_t d = 0; d < json_array_size(shape); d++)
            dd_str_addf(s, "%s%lld", d ? "," : "", (long long)json_integer_value(json_array_get(shape, d)));
        dd_str_add(s, "]\n");
    }
}

static dd_status to_text(const json_t *doc, char **out, dd_err *err)
{
    dd_str s = {0};
    dd_str_addf(&s, "file        %s, %s, %lld bytes\n", str(doc, "file"), str(doc, "format"), num(doc, "bytes"));
    if (str(doc, "taken")[0]) dd_str_addf(&s, "taken       state dict '%s'\n", str(doc, "taken"));
    text_config(&s, doc);
    text_decoder(&s, doc);
    text_names(&s, doc, "missing");
    text_names(&s, doc, "unexpected");
    if (json_is_true(json_object_get(doc, "runs")))
        dd_str_addf(&s, "runs        yes, model id %s\n", str(doc, "model_id"));
    else dd_str_addf(&s, "runs        no: %s\n", str(doc, "problem"));
    text_tensors(&s, doc);
    return dd_str_take(&s, out, err);
}

dd_status dd_inspect(const dd_inspect_spec *spec, char **out, dd_err *err)
{
    json_t *doc = json_object();
    if (!doc) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", spec->path);
    dd_status st = build(doc, spec, err);
    if (st == DD_OK) st = spec->as_json ? dd_json_print(doc, out, err) : to_text(doc, out, err);
    json_decref(doc);
    return st;
}

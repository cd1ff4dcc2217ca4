/* SPDX-License-Identifier: MIT
 * Conversion: the entries of the new file point into the old one, or to converted copies. */
#define _POSIX_C_SOURCE 200809L /* stat */
#include "host/model/convert.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/sizes.h"
#include "host/io/outfile.h"
#include "host/io/outfolder.h"
#include "host/io/safetensors.h"
#include "host/io/tensors_internal.h"
#include "host/model/diffusers.h"
#include "host/model/diffusers_layout.h"
#include "host/model/keys.h"

typedef struct converter {
    const dd_convert_spec *spec;
    dd_tensors *in; /* owns the copies, too */
    bool diffusers; /* the layout to write */
    bool changes;   /* dtype below is asked for */
    dd_dtype dtype;
    dd_tensor_entry *entries;
    dd_err *err;
} converter;

static dd_status find_dtype(converter *c)
{
    static const struct {
        const char *name;
        dd_dtype dtype;
    } known[] = {{"f32", DD_F32}, {"f16", DD_F16}, {"bf16", DD_BF16}};
    c->changes = c->spec->dtype != NULL;
    if (!c->changes) return DD_OK;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(c->spec->dtype, known[i].name) != 0) continue;
        c->dtype = known[i].dtype;
        return DD_OK;
    }
    return DD_FAIL(c->err, DD_ERR_ARG, "dtype: '%s' is none of f32, f16, bf16", c->spec->dtype);
}

static dd_status find_layout(converter *c)
{
    const char *layout = c->spec->layout, *out = c->spec->out, *end = ".safetensors";
    c->diffusers = layout && strcmp(layout, "diffusers") == 0;
    if (layout && !c->diffusers && strcmp(layout, "official") != 0)
        return DD_FAIL(c->err, DD_ERR_ARG, "layout: '%s' is none of official, diffusers", layout);
    const size_t n = strlen(out), k = strlen(end);
    if (c->diffusers && n > k && strcmp(out + n - k, end) == 0)
        return DD_FAIL(c->err, DD_ERR_ARG,
                       "%s: the layout of diffusers is a folder of " DD_DIFFUSERS_CONFIG " and " DD_DIFFUSERS_WEIGHTS
                       "; give it a name without %s",
                       out, end);
    return DD_OK;
}

static bool is_float(dd_dtype t) { return t == DD_F32 || t == DD_F16 || t == DD_BF16 || t == DD_F64; }

/* What decides about computation, and the weights of averages, of which small differences matter. */
static bool stays_float32(const char *name)
{
    return strncmp(name, "t_embedder.", 11) == 0 || strstr(name, ".attn_rate.") || strstr(name, ".mlp_rate.") ||
           strstr(name, ".token_selection.") || strncmp(name, "dwa_modules.", 12) == 0 ||
           strncmp(name, "weights.", 8) == 0;
}

/* float32 to 16 bits; the index of the first element that is out of range, or n. */
static int64_t narrow(uint16_t *dst, const float *src, int64_t n, dd_dtype t)
{
    for (int64_t i = 0; i < n; i++) {
        dst[i] = t == DD_F16 ? dd_f32_to_f16(src[i]) : dd_f32_to_bf16(src[i]);
        if (!dd_f32_finite(t == DD_F16 ? dd_f16_to_f32(dst[i]) : dd_bf16_to_f32(dst[i]))) return i;
    }
    return n;
}

/* A copy of t as dtype to. */
static dd_status convert_values(converter *c, const dd_tensor *t, dd_dtype to, const void **data)
{
    const size_t n = (size_t)t->count;
    void *copy = NULL;
    size_t bytes;
    if (dd_mul_size(n, sizeof(float), &bytes)) copy = dd_tensors_own(c->in, to == DD_F32 ? bytes : bytes / 2);
    float *values = to == DD_F32 ? copy : copy ? malloc(bytes + 1) : NULL;
    if (!values) return DD_FAIL(c->err, DD_ERR_NOMEM, "%s: out of memory for tensor %s", c->in->path, t->name);
    dd_status st = dd_tensors_read_f32(c->in, t, values, c->err);
    if (st == DD_OK && to != DD_F32) {
        const int64_t bad = narrow(copy, values, t->count, to);
        if (bad < t->count)
            st = DD_FAIL(c->err, DD_ERR_FORMAT, "%s: tensor %s: element %lld is %g, which %s cannot hold", c->in->path,
                         t->name, (long long)bad, (double)values[bad], c->spec->dtype);
    }
    if (to != DD_F32) free(values);
    *data = copy;
    return st;
}

static dd_status convert_tensor(converter *c, const dd_tensor *t, dd_tensor_entry *e)
{
    if (!t->known)
        return DD_FAIL(c->err, DD_ERR_UNSUPPORTED, "%s: tensor %s: dtype %s cannot be converted", c->in->path, t->name,
                       t->dtype_name);
    *e = (dd_tensor_entry){.name = t->name, .dtype = t->dtype, .rank = t->rank, .data = t->data};
    memcpy(e->shape, t->shape, sizeof e->shape);
    if (!c->changes || !is_float(t->dtype) || !dd_key_is_network(t->name)) return DD_OK;
    e->dtype = stays_float32(t->name) ? DD_F32 : c->dtype;
    if (e->dtype == t->dtype || t->count == 0) return DD_OK;
    return convert_values(c, t, e->dtype, &e->data);
}

/* What lies on the disk, not what was meant to: the file is read again. */
static dd_status describe(const converter *c, dd_convert_report *report)
{
    dd_tensors *f = NULL;
    dd_sha256 s;
    if (c->diffusers) DD_TRY(dd_path_join(report->path, c->spec->out, DD_DIFFUSERS_WEIGHTS, "", c->err));
    else snprintf(report->path, sizeof report->path, "%s", c->spec->out);
    DD_TRY(dd_safetensors_open(&f, report->path, c->err));
    dd_sha256_init(&s);
    dd_sha256_add(&s, f->map, f->bytes);
    dd_sha256_text(&s, report->sha256);
    report->tensors = f->n_tensors;
    report->bytes = f->bytes;
    dd_tensors_close(&f);
    return DD_OK;
}

/* Before anything is read. */
static dd_status check_out(const converter *c)
{
    struct stat out;
    if (c->diffusers) return dd_outfolder_check(c->spec->out, c->err);
    DD_TRY(dd_outfile_check(c->spec->out, c->err));
    if (stat(c->spec->out, &out) == 0 && !S_ISREG(out.st_mode))
        return DD_FAIL(c->err, DD_ERR_ARG, "%s is no regular file, which could be read again for its SHA-256",
                       c->spec->out);
    return DD_OK;
}

static dd_status convert(converter *c)
{
    DD_TRY(find_dtype(c));
    DD_TRY(find_layout(c));
    DD_TRY(check_out(c));
    DD_TRY(dd_checkpoint_open(&c->in, c->spec->in, &c->spec->choice, c->err));
    const int n = c->in->n_tensors;
    c->entries = calloc((size_t)n + 1, sizeof *c->entries);
    if (!c->entries) return DD_FAIL(c->err, DD_ERR_NOMEM, "%s: out of memory for %d tensors", c->in->path, n);
    for (int i = 0; i < n; i++) DD_TRY(convert_tensor(c, &c->in->tensors[i], &c->entries[i]));
    if (!c->diffusers) return dd_safetensors_write(c->spec->out, c->entries, n, c->in->meta, c->in->n_meta, c->err);
    const dd_diffusers_source source = {c->in, c->entries, c->spec->preset};
    return dd_diffusers_write(c->spec->out, &source, c->err);
}

dd_status dd_convert(const dd_convert_spec *spec, dd_convert_report *report, dd_err *err)
{
    converter c = {.spec = spec, .err = err};
    dd_status st = convert(&c);
    free(c.entries);
    dd_tensors_close(&c.in);
    if (st == DD_OK) st = describe(&c, report);
    return st;
}

/* SPDX-License-Identifier: MIT
 * Writes a DiT with official names in diffusers' layout. Values are not copied: q, k and v are thirds of one tensor, and
 * all blocks point to the same embedders. */
#include "host/model/diffusers.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/outfile.h"
#include "host/io/outfolder.h"
#include "host/io/path.h"
#include "host/io/safetensors.h"
#include "host/model/config.h"
#include "host/model/diffusers_layout.h"
#include "host/model/keys.h"

#define NAME 96

typedef struct writer {
    const dd_diffusers_source *src;
    const char *path; /* of the source */
    dd_diffusers_config c;
    dd_tensor_entry *list;
    char (*names)[NAME]; /* of the list, where they are not the source's own */
    int n;
    dd_err *err;
} writer;

static dd_status no_memory(const writer *w) { return DD_FAIL(w->err, DD_ERR_NOMEM, "%s: out of memory", w->path); }

/* ---- what the layout can hold ---- */

static dd_status check_geometry(writer *w, const dd_config *c)
{
    if (c->dynamic)
        return DD_FAIL(
            w->err, DD_ERR_UNSUPPORTED,
            "%s has routers (%s), for which the layout of diffusers has no names; only a DiT has that layout", w->path,
            c->arch);
    if (c->mlp_hidden != 4 * c->hidden_size || c->hidden_size % 4 != 0)
        return DD_FAIL(w->err, DD_ERR_UNSUPPORTED,
                       "%s: MLPs of %d channels at a width of %d; in the layout of diffusers they have four times the "
                       "width, and that is a multiple of 4",
                       w->path, c->mlp_hidden, c->hidden_size);
    w->c = (dd_diffusers_config){.heads = c->num_heads,
                                 .head_dim = c->head_dim,
                                 .layers = c->depth,
                                 .in_channels = c->in_channels,
                                 .out_channels = c->out_channels,
                                 .sample_size = c->input_size,
                                 .patch_size = c->patch_size,
                                 .classes = c->num_classes};
    return dd_config_diffusers_eps(w->src->file, &w->c.norm_eps, w->err);
}

/* All that a DiT has, and nothing more of a network. */
static dd_status check_tensors(const writer *w, const dd_config *c)
{
    const dd_tensors *f = w->src->file;
    dd_key *keys = NULL;
    int n = 0;
    DD_TRY(dd_dit_keys(c, &keys, &n, w->err));
    dd_status st = DD_OK;
    const dd_tensor *t;
    for (int i = 0; st == DD_OK && i < n; i++)
        st = dd_tensors_require(f, "", keys[i].name, keys[i].rank, keys[i].shape, &t, w->err);
    for (int i = 0; st == DD_OK && i < dd_tensors_count(f); i++) {
        const char *name = dd_tensors_at(f, i)->name;
        if (dd_key_is_network(name) && !dd_key_find(keys, n, name))
            st = DD_FAIL(w->err, DD_ERR_UNSUPPORTED, "%s: tensor %s has no name in the layout of diffusers", w->path,
                         name);
    }
    free(keys);
    return st;
}

/* diffusers computes the positions. Another library's sine may round to the next float32, and a file may hold them in 16
 * bits: half a unit in the last place below 1 is then 2^-9 or 2^-12. */
static dd_status check_positions(const writer *w)
{
    const dd_tensor *t = dd_tensors_find(w->src->file, "pos_embed");
    const double bound = ldexp(1, -24) + (t->dtype == DD_BF16 ? ldexp(1, -9) : t->dtype == DD_F16 ? ldexp(1, -12) : 0);
    const size_t n = (size_t)t->count;
    float *have = malloc(n * sizeof *have), *want = malloc(n * sizeof *want);
    dd_status st = have && want ? dd_tensors_read_f32(w->src->file, t, have, w->err) : no_memory(w);
    if (st == DD_OK) dd_diffusers_positions(&w->c, want);
    for (size_t i = 0; st == DD_OK && i < n; i++)
        if (!(fabs((double)have[i] - (double)want[i]) <= bound))
            st = DD_FAIL(
                w->err, DD_ERR_UNSUPPORTED,
                "%s: tensor pos_embed is not the table of sines and cosines, which diffusers does not read but "
                "computes: element %zu is %g, expected %g",
                w->path, i, (double)have[i], (double)want[i]);
    free(have);
    free(want);
    return st;
}

static dd_status check_source(writer *w)
{
    dd_config c;
    DD_TRY(dd_config_from_file(&c, w->src->file, w->src->preset, w->err));
    dd_status st = check_geometry(w, &c);
    if (st == DD_OK) st = check_tensors(w, &c);
    if (st == DD_OK) st = check_positions(w);
    dd_config_fini(&c);
    return st;
}

/* ---- tensors ---- */

typedef struct prefixes {
    char theirs[NAME], ours[NAME]; /* before the names of a block, or nothing */
} prefixes;

/* kind: "weight", "bias", or NULL where the name ends with it. */
static void compose(char name[NAME], const char *prefix, const char *part, const char *kind)
{
    snprintf(name, NAME, "%s%s%s%s", prefix, part, kind ? "." : "", kind ? kind : "");
}

/* What is to be written of a tensor that check_tensors has seen. */
static const dd_tensor_entry *find(const writer *w, const char *prefix, const char *part, const char *kind)
{
    char name[NAME];
    compose(name, prefix, part, kind);
    return &w->src->entries[dd_tensors_find(w->src->file, name) - dd_tensors_at(w->src->file, 0)];
}

static dd_tensor_entry *add(writer *w, const dd_tensor_entry *e, const char *prefix, const char *part, const char *kind)
{
    dd_tensor_entry *to = &w->list[w->n];
    compose(w->names[w->n], prefix, part, kind);
    *to = *e;
    to->name = w->names[w->n++];
    return to;
}

static void add_linears(writer *w, const prefixes *p, const dd_diffusers_pair *pairs, int n)
{
    for (int i = 0; i < 2 * n; i++) {
        const dd_diffusers_pair *pair = &pairs[i / 2];
        const char *kind = dd_diffusers_kinds[i % 2];
        add(w, find(w, p->ours, pair->ours, kind), p->theirs, pair->theirs, kind);
    }
}

/* Rows of q, then of k, then of v. */
static void split_qkv(writer *w, const prefixes *p, const char *kind)
{
    const dd_tensor_entry *qkv = find(w, p->ours, "attn.qkv", kind);
    const int64_t third = qkv->shape[0] / 3 * (qkv->rank == 2 ? qkv->shape[1] : 1);
    for (int i = 0; i < 3; i++) {
        const char part[] = {'a', 't', 't', 'n', '1', '.', 't', 'o', '_', "qkv"[i], '\0'};
        dd_tensor_entry *to = add(w, qkv, p->theirs, part, kind);
        to->shape[0] /= 3;
        to->data = (const unsigned char *)qkv->data + (size_t)(i * third) * dd_dtype_bytes(qkv->dtype);
    }
}

static void add_block(writer *w, int i)
{
    prefixes p;
    snprintf(p.theirs, NAME, "transformer_blocks.%d.", i);
    snprintf(p.ours, NAME, "blocks.%d.", i);
    add_linears(w, &p, dd_diffusers_block_linears, DD_DIFFUSERS_BLOCK_LINEARS);
    for (int k = 0; k < 2; k++) split_qkv(w, &p, dd_diffusers_kinds[k]);
    for (int k = 0; k < DD_DIFFUSERS_REPEATED; k++)
        add(w, find(w, "", dd_diffusers_repeated[k].ours, NULL), p.theirs, dd_diffusers_repeated[k].theirs, NULL);
}

/* Tensors outside of the network keep their names. */
static dd_status list_tensors(writer *w)
{
    static const prefixes none = {"", ""};
    const int n = dd_tensors_count(w->src->file);
    const size_t of_block = 2 * DD_DIFFUSERS_BLOCK_LINEARS + 2 * 3 + DD_DIFFUSERS_REPEATED;
    const size_t room = 2 * DD_DIFFUSERS_LINEARS + of_block * (size_t)w->c.layers + (size_t)n;
    w->list = calloc(room, sizeof *w->list);
    w->names = calloc(room, sizeof *w->names);
    if (!w->list || !w->names) return no_memory(w);
    add_linears(w, &none, dd_diffusers_linears, DD_DIFFUSERS_LINEARS);
    for (int i = 0; i < w->c.layers; i++) add_block(w, i);
    for (int i = 0; i < n; i++)
        if (!dd_key_is_network(w->src->entries[i].name)) w->list[w->n++] = w->src->entries[i];
    return DD_OK;
}

/* ---- files ---- */

/* The source's metadata, and what diffusers expects there: that tensors are laid out as PyTorch's. */
static dd_status write_tensors(const writer *w, const char *path)
{
    const int n = dd_tensors_meta_count(w->src->file);
    dd_text_pair *meta = calloc((size_t)n + 1, sizeof *meta);
    if (!meta) return no_memory(w);
    int kept = 1;
    meta[0] = (dd_text_pair){"format", "pt"};
    for (int i = 0; i < n; i++) {
        dd_tensors_meta_at(w->src->file, i, &meta[kept].key, &meta[kept].value);
        kept += strcmp(meta[kept].key, "format") != 0;
    }
    const dd_status st = dd_safetensors_write(path, w->list, w->n, meta, kept, w->err);
    free(meta);
    return st;
}

static dd_status write_files(const writer *w, dd_outfolder *folder)
{
    char path[DD_PATH_MAX], *text = NULL;
    DD_TRY(dd_outfolder_file(folder, DD_DIFFUSERS_CONFIG, path, w->err));
    DD_TRY(dd_diffusers_config_text(&w->c, &text, w->err));
    const dd_status st = dd_outfile_text(path, text, w->err);
    free(text);
    DD_TRY(st);
    DD_TRY(dd_outfolder_file(folder, DD_DIFFUSERS_WEIGHTS, path, w->err));
    return write_tensors(w, path);
}

dd_status dd_diffusers_write(const char *folder, const dd_diffusers_source *source, dd_err *err)
{
    writer w = {.src = source, .path = dd_tensors_path(source->file), .err = err};
    dd_outfolder *out = NULL;
    dd_status st;
    DD_TRY_GOTO(st, check_source(&w), done);
    DD_TRY_GOTO(st, list_tensors(&w), done);
    DD_TRY_GOTO(st, dd_outfolder_open(&out, folder, err), done);
    DD_TRY_GOTO(st, write_files(&w, out), done);
    st = dd_outfolder_commit(&out, err);
done:
    dd_outfolder_discard(&out);
    free(w.list);
    free(w.names);
    return st;
}

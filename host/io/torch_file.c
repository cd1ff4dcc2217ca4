/* SPDX-License-Identifier: MIT
 * The files of torch.save since PyTorch 1.6: a zip archive of stored members under one folder, data.pkl with the structure
 * and data/KEY with the values of each storage. Tensors are used in place; only those whose elements are not in order
 * are copied. Lists the tensors of one state dict; everything else in the pickle is passed over. */
#include "host/io/torch_file.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/sizes.h"
#include "host/base/str.h"
#include "host/io/pickle.h"
#include "host/io/tensors_internal.h"
#include "host/io/zip.h"

#define MAX_STEM 256

typedef struct reader {
    dd_tensors *f;
    dd_zip zip;
    const char *stem; /* name of the folder, with its slash */
    size_t stem_bytes;
    dd_pickle *pickle;
    size_t listed, copied; /* bytes of tensors so far; of those not in order */
    dd_err *err;
} reader;

/* Where a tensor lies in its storage. */
typedef struct view {
    const unsigned char *data; /* of the first element */
    int64_t stride[DD_TENSOR_MAX_RANK];
    size_t bytes; /* of an element */
} view;

static const dd_zip_member *member(const reader *r, const char *name, size_t n)
{
    char full[2 * MAX_STEM];
    if (n > MAX_STEM) return NULL;
    memcpy(full, r->stem, r->stem_bytes);
    memcpy(full + r->stem_bytes, name, n);
    return dd_zip_find(&r->zip, full, r->stem_bytes + n);
}

static dd_status check_archive(reader *r)
{
    const char *path = r->f->path;
    if (r->zip.n == 0) return DD_FAIL(r->err, DD_ERR_FORMAT, "%s is an empty zip archive", path);
    const dd_zip_member *first = &r->zip.members[0];
    const char *slash = memchr(first->name, '/', first->name_bytes);
    r->stem = first->name;
    r->stem_bytes = slash ? (size_t)(slash - first->name) + 1 : 0;
    if (r->stem_bytes == 0 || r->stem_bytes > MAX_STEM)
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s is a zip archive, but not one of torch.save", path);
    for (int i = 0; i < r->zip.n; i++) {
        const dd_zip_member *m = &r->zip.members[i];
        if (m->name_bytes <= r->stem_bytes || memcmp(m->name, r->stem, r->stem_bytes) != 0)
            return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: zip member %.*s is outside the folder %.*s of the others", path,
                           (int)(m->name_bytes < 120 ? m->name_bytes : 120), m->name, (int)r->stem_bytes, r->stem);
    }
    if (member(r, "constants.pkl", 13))
        return DD_FAIL(r->err, DD_ERR_UNSUPPORTED,
                       "%s is a TorchScript archive, which holds code; save its state dict with torch.save", path);
    for (int i = 0; i < r->zip.n; i++) {
        const dd_zip_member *m = &r->zip.members[i];
        if (m->compressed)
            return DD_FAIL(r->err, DD_ERR_UNSUPPORTED,
                           "%s: zip member %.*s is compressed; save the file again with torch.save, which does not",
                           path, (int)(m->name_bytes < 120 ? m->name_bytes : 120), m->name);
    }
    if (!member(r, "data.pkl", 8))
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s is a zip archive without data.pkl, not one of torch.save", path);
    const dd_zip_member *order = member(r, "byteorder", 9);
    if (order && (order->bytes != 6 || memcmp(order->data, "little", 6) != 0))
        return DD_FAIL(r->err, DD_ERR_UNSUPPORTED, "%s holds values that are not little-endian", path);
    return DD_OK;
}

static bool is_text(const dd_pickle_value *v, const char *text)
{
    return v && v->kind == DD_PICKLE_TEXT && v->n == strlen(text) && memcmp(v->text, text, v->n) == 0;
}

/* The dictionary under a key of the root, or NULL. */
static const dd_pickle_value *dict_at(const dd_pickle_value *root, const char *key)
{
    for (const dd_pickle_cell *c = root->first; c; c = c->next->next)
        if (is_text(c->value, key) && c->next->value->kind == DD_PICKLE_DICT) return c->next->value;
    return NULL;
}

static dd_status choose(reader *r, dd_which which, const dd_pickle_value **dict)
{
    const dd_pickle_value *root = dd_pickle_root(r->pickle);
    if (root->kind != DD_PICKLE_DICT)
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s holds no dictionary of tensors; save model.state_dict()", r->f->path);
    static const struct {
        const char *key;
        dd_which which; /* AUTO: nobody has to ask for that of PyTorch Lightning */
        bool or_root;
    } wanted[] = {{"ema", DD_WHICH_EMA, false},
                  {"model", DD_WHICH_MODEL, false},
                  {"state_dict", DD_WHICH_AUTO, false},
                  {"routers", DD_WHICH_ROUTERS, true}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (which != wanted[i].which && (which != DD_WHICH_AUTO || wanted[i].or_root)) continue;
        *dict = dict_at(root, wanted[i].key);
        r->f->part = wanted[i].key;
        if (*dict) return DD_OK;
        if (which != DD_WHICH_AUTO && !wanted[i].or_root)
            return DD_FAIL(r->err, DD_ERR_ARG, "%s has no state dict '%s'", r->f->path, r->f->part);
    }
    r->f->part = "";
    *dict = root;
    return DD_OK;
}

/* "module." stands before the names that DistributedDataParallel saved. */
static dd_status take_name(reader *r, const dd_pickle_value *key, dd_tensor *t)
{
    static const char prefix[] = "module.";
    const size_t skip = key->n > 7 && memcmp(key->text, prefix, 7) == 0 ? 7 : 0, n = key->n - skip;
    if (n == 0 || n > DD_TENSOR_MAX_NAME)
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: a tensor's name has %zu bytes, the limit is %d", r->f->path, n,
                       DD_TENSOR_MAX_NAME);
    char *name = dd_tensors_own(r->f, n + 1);
    if (!name) return DD_FAIL(r->err, DD_ERR_NOMEM, "%s: out of memory for names", r->f->path);
    memcpy(name, key->text + skip, n);
    t->name = name;
    bool plain = strlen(name) == n && dd_utf8_valid(name);
    for (const char *c = name; *c; c++) plain = plain && (unsigned char)*c >= 0x20 && *c != 0x7f;
    if (!plain) return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: a tensor's name is not plain UTF-8 text", r->f->path);
    return DD_OK;
}

static dd_status bad_tensor(const reader *r, const dd_tensor *t, const char *what)
{
    return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: tensor %s: %s", r->f->path, t->name, what);
}

/* The bytes of a storage: a member of the archive of exactly the size that the pickle says. */
static dd_status find_storage(const reader *r, dd_tensor *t, const dd_pickle_value *storage, const dd_zip_member **m,
                              view *v, int64_t *elements)
{
    if (!storage || storage->kind != DD_PICKLE_STORAGE) return bad_tensor(r, t, "its storage is of no known kind");
    const dd_pickle_value *type = dd_pickle_item(storage, 1), *key = dd_pickle_item(storage, 2),
                          *n = dd_pickle_item(storage, 4);
    if (!is_text(dd_pickle_item(storage, 0), "storage") || !type || !type->dtype || !key ||
        key->kind != DD_PICKLE_TEXT || key->n == 0 || key->n > 32 || !n || n->kind != DD_PICKLE_INT || n->number < 0)
        return bad_tensor(r, t, "its storage is of no known kind");
    t->dtype_name = type->dtype->name;
    t->known = type->dtype->known != 0;
    t->dtype = type->dtype->dtype;
    v->bytes = type->dtype->bytes;
    *elements = n->number;
    char name[48];
    const int length = snprintf(name, sizeof name, "data/%.*s", (int)key->n, key->text);
    *m = length == (int)key->n + 5 ? member(r, name, (size_t)length) : NULL;
    if (!*m) return bad_tensor(r, t, "its values are not in the archive");
    size_t bytes;
    if (!dd_mul_size((size_t)*elements, v->bytes, &bytes) || bytes != (*m)->bytes)
        return bad_tensor(r, t, "its storage has another size in data.pkl than in the archive");
    return DD_OK;
}

/* Extents, strides and count; *last: the largest offset of an element from the first. */
static dd_status take_shape(const reader *r, dd_tensor *t, const dd_pickle_value *tensor, view *v, size_t *last)
{
    const dd_pickle_value *shape = dd_pickle_item(tensor, 2), *strides = dd_pickle_item(tensor, 3);
    if (!shape || !strides || shape->kind != DD_PICKLE_TUPLE || strides->kind != DD_PICKLE_TUPLE ||
        shape->n != strides->n || shape->n > DD_TENSOR_MAX_RANK)
        return bad_tensor(r, t, "its shape is missing or has a rank over 8");
    t->rank = (int)shape->n;
    size_t count = 1, reach = 0;
    bool fits = true;
    *last = 0;
    for (int i = 0; i < t->rank; i++) {
        const dd_pickle_value *d = dd_pickle_item(shape, (uint32_t)i), *s = dd_pickle_item(strides, (uint32_t)i);
        if (d->kind != DD_PICKLE_INT || s->kind != DD_PICKLE_INT || d->number < 0 || s->number < 0)
            return bad_tensor(r, t, "an extent or a stride is no number from 0 on");
        t->shape[i] = d->number;
        v->stride[i] = s->number;
        fits = fits && dd_mul_size(count, (size_t)d->number, &count);
        if (d->number > 0)
            fits = fits && dd_mul_size((size_t)d->number - 1, (size_t)s->number, &reach) &&
                   dd_add_size(*last, reach, last);
    }
    fits = fits && count <= INT64_MAX && dd_mul_size(count, v->bytes, &t->bytes);
    if (!fits) return bad_tensor(r, t, "shape overflows the size of memory");
    t->count = (int64_t)count;
    return DD_OK;
}

static bool in_order(const dd_tensor *t, const view *v)
{
    int64_t want = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        if (t->shape[i] != 1 && v->stride[i] != want) return false;
        want *= t->shape[i];
    }
    return true;
}

/* A copy whose elements are in order. */
static dd_status put_in_order(reader *r, dd_tensor *t, const view *v)
{
    if (!dd_add_size(r->copied, t->bytes, &r->copied) || r->copied > r->f->bytes)
        return bad_tensor(r, t, "its elements are not in order, and copies would be larger than the file");
    unsigned char *out = dd_tensors_own(r->f, t->bytes);
    if (!out) return DD_FAIL(r->err, DD_ERR_NOMEM, "%s: out of memory for tensor %s", r->f->path, t->name);
    t->data = out;
    int64_t index[DD_TENSOR_MAX_RANK] = {0};
    for (int64_t k = 0; k < t->count; k++, out += v->bytes) {
        size_t at = 0;
        for (int i = 0; i < t->rank; i++) at += (size_t)index[i] * (size_t)v->stride[i];
        memcpy(out, v->data + at * v->bytes, v->bytes);
        for (int i = t->rank - 1; i >= 0 && ++index[i] == t->shape[i]; i--) index[i] = 0;
    }
    return DD_OK;
}

static dd_status take_tensor(reader *r, const dd_pickle_value *key, const dd_pickle_value *tensor, dd_tensor *t)
{
    const dd_zip_member *m = NULL;
    view v = {0};
    int64_t elements = 0;
    size_t last = 0, end;
    DD_TRY(take_name(r, key, t));
    const dd_pickle_value *offset = dd_pickle_item(tensor, 1);
    DD_TRY(find_storage(r, t, dd_pickle_item(tensor, 0), &m, &v, &elements));
    DD_TRY(take_shape(r, t, tensor, &v, &last));
    if (!offset || offset->kind != DD_PICKLE_INT || offset->number < 0)
        return bad_tensor(r, t, "its place in the storage is no number from 0 on");
    if (t->count == 0) return DD_OK;
    if (!dd_add_size((size_t)offset->number, last, &end) || end >= (size_t)elements)
        return bad_tensor(r, t, "it reaches past the end of its storage");
    /* Tensors may share a storage; but many that do so would make a small file large wherever it is copied. */
    if (!dd_add_size(r->listed, t->bytes, &r->listed) || r->listed / 4 > r->f->bytes)
        return bad_tensor(r, t, "the tensors so far are over four times as large as the file");
    v.data = m->data + (size_t)offset->number * v.bytes;
    if (!in_order(t, &v)) return put_in_order(r, t, &v);
    t->data = v.data;
    return DD_OK;
}

static dd_status list_tensors(reader *r, const dd_pickle_value *dict)
{
    dd_tensors *f = r->f;
    size_t n = 0;
    for (const dd_pickle_cell *c = dict->first; c; c = c->next->next)
        n += c->value->kind == DD_PICKLE_TEXT && c->next->value->kind == DD_PICKLE_TENSOR;
    if (n == 0)
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: %s%s holds no tensors", f->path, f->part,
                       f->part[0] ? "" : "its dictionary");
    if (n > DD_TENSORS_MAX)
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: %zu tensors, more than the limit of %d", f->path, n, DD_TENSORS_MAX);
    f->tensors = calloc(n, sizeof *f->tensors);
    if (!f->tensors) return DD_FAIL(r->err, DD_ERR_NOMEM, "%s: out of memory for %zu tensors", f->path, n);
    for (const dd_pickle_cell *c = dict->first; c; c = c->next->next) {
        if (c->value->kind != DD_PICKLE_TEXT || c->next->value->kind != DD_PICKLE_TENSOR) continue;
        DD_TRY(take_tensor(r, c->value, c->next->value, &f->tensors[f->n_tensors]));
        f->n_tensors++;
    }
    qsort(f->tensors, n, sizeof *f->tensors, dd_tensor_by_name);
    for (size_t i = 1; i < n; i++)
        if (strcmp(f->tensors[i - 1].name, f->tensors[i].name) == 0)
            return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: tensor %s is there twice", f->path, f->tensors[i].name);
    return DD_OK;
}

static dd_status read_archive(reader *r, dd_which which)
{
    const dd_pickle_value *dict = NULL;
    DD_TRY(check_archive(r));
    const dd_zip_member *data = member(r, "data.pkl", 8);
    DD_TRY(dd_pickle_read(&r->pickle, r->f->path, data->data, data->bytes, r->err));
    DD_TRY(choose(r, which, &dict));
    return list_tensors(r, dict);
}

dd_status dd_torch_read(dd_tensors *f, dd_which which, dd_err *err)
{
    reader r = {.f = f, .err = err};
    f->format = "torch";
    DD_TRY(dd_zip_read(&r.zip, f->path, f->map, f->bytes, err));
    const dd_status st = read_archive(&r, which);
    dd_pickle_free(&r.pickle);
    dd_zip_fini(&r.zip);
    return st;
}

dd_status dd_torch_open(dd_tensors **out, const char *path, dd_which which, dd_err *err)
{
    DD_TRY(dd_tensors_map(out, path, "torch.save file", err));
    const dd_status st = dd_torch_read(*out, which, err);
    if (st != DD_OK) dd_tensors_close(out);
    return st;
}

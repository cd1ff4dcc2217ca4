/* SPDX-License-Identifier: MIT
 * Tensors that exist in memory only, for models that are made up: one anonymous mapping holds tensors and names, so that
 * they are read and released like those of a file. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host/base/sizes.h"
#include "host/io/tensors_internal.h"

#define ALIGN 64

typedef struct layout {
    unsigned char *base;
    size_t at;
    bool fits;
} layout;

/* Takes `bytes` of the mapping; before it exists only the sizes are added up. */
static unsigned char *take(layout *l, size_t bytes, size_t align)
{
    size_t at;
    if (!l->fits || !dd_align_size(l->at, align, &at) || !dd_add_size(at, bytes, &l->at)) {
        l->fits = false;
        return NULL;
    }
    return l->base ? l->base + at : NULL;
}

static const char *take_text(layout *l, const char *text)
{
    const size_t n = strlen(text) + 1;
    unsigned char *p = take(l, n, 1);
    return p ? memcpy(p, text, n) : NULL;
}

static void lay_out(layout *l, dd_tensors *f, const dd_tensor_entry *entries, const dd_text_pair *meta)
{
    for (int i = 0; i < f->n_tensors; i++) {
        dd_tensor *t = &f->tensors[i];
        size_t count = 1;
        *t = (dd_tensor){
            .dtype_name = dd_safetensors_dtype_name(entries[i].dtype), .known = true, .dtype = entries[i].dtype};
        t->rank = entries[i].rank;
        for (int d = 0; d < t->rank; d++) {
            t->shape[d] = entries[i].shape[d];
            l->fits = l->fits && t->shape[d] > 0 && dd_mul_size(count, (size_t)t->shape[d], &count);
        }
        l->fits = l->fits && dd_mul_size(count, dd_dtype_bytes(t->dtype), &t->bytes);
        t->count = (int64_t)count;
        t->data = take(l, t->bytes, ALIGN);
        t->name = take_text(l, entries[i].name);
    }
    for (int i = 0; i < f->n_meta; i++)
        f->meta[i] = (dd_text_pair){take_text(l, meta[i].key), take_text(l, meta[i].value)};
}

dd_status dd_tensors_new(dd_tensors **out, const char *name, const dd_tensor_entry *entries, int n,
                         const dd_text_pair *meta, int n_meta, dd_err *err)
{
    *out = NULL;
    dd_tensors *f = calloc(1, sizeof *f);
    dd_status st = DD_OK;
    if (f) {
        *f = (dd_tensors){
            .path = malloc(strlen(name) + 1), .n_tensors = n, .n_meta = n_meta, .format = "memory", .part = ""};
        f->tensors = calloc((size_t)n + 1, sizeof *f->tensors);
        f->meta = calloc((size_t)n_meta + 1, sizeof *f->meta);
    }
    if (!f || !f->path || !f->tensors || !f->meta)
        DD_TRY_GOTO(st, DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", name), fail);
    memcpy(f->path, name, strlen(name) + 1);
    layout l = {.fits = true};
    lay_out(&l, f, entries, meta);
    void *map = l.fits ? mmap(NULL, l.at, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;
    if (map == MAP_FAILED) DD_TRY_GOTO(st, DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for its tensors", name), fail);
    f->map = map;
    f->bytes = l.at;
    l = (layout){.base = map, .fits = true};
    lay_out(&l, f, entries, meta);
    qsort(f->tensors, (size_t)n, sizeof *f->tensors, dd_tensor_by_name);
    *out = f;
    return DD_OK;
fail:
    dd_tensors_close(&f);
    return st;
}

void *dd_tensors_fill(dd_tensors *file, const char *tensor)
{
    const dd_tensor *t = dd_tensors_find(file, tensor);
    return t ? (void *)(uintptr_t)t->data : NULL;
}

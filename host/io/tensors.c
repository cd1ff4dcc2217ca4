/* SPDX-License-Identifier: MIT
 * Names, metadata and the end of a set of tensors. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host/io/tensors_internal.h"

int dd_tensor_by_name(const void *a, const void *b)
{
    return strcmp(((const dd_tensor *)a)->name, ((const dd_tensor *)b)->name);
}

void dd_tensors_close(dd_tensors **file)
{
    dd_tensors *f = *file;
    if (!f) return;
    free(f->meta);
    free(f->tensors);
    json_decref(f->doc);
    if (f->map) munmap(f->map, f->bytes);
    while (f->shards) {
        dd_tensors *next = f->shards->next;
        dd_tensors_close(&f->shards);
        f->shards = next;
    }
    while (f->owned) {
        dd_owned *next = f->owned->next;
        free(f->owned);
        f->owned = next;
    }
    free(f->path);
    free(f);
    *file = NULL;
}

const char *dd_tensors_path(const dd_tensors *file) { return file->path; }

size_t dd_tensors_bytes(const dd_tensors *file) { return file->bytes + file->bytes_shards; }

const char *dd_tensors_format(const dd_tensors *file) { return file->format; }

const char *dd_tensors_part(const dd_tensors *file) { return file->part; }

int dd_tensors_count(const dd_tensors *file) { return file->n_tensors; }

const dd_tensor *dd_tensors_at(const dd_tensors *file, int i) { return &file->tensors[i]; }

const dd_tensor *dd_tensors_find(const dd_tensors *file, const char *name)
{
    const dd_tensor key = {.name = name};
    return bsearch(&key, file->tensors, (size_t)file->n_tensors, sizeof key, dd_tensor_by_name);
}

int dd_tensors_meta_count(const dd_tensors *file) { return file->n_meta; }

void dd_tensors_meta_at(const dd_tensors *file, int i, const char **key, const char **value)
{
    *key = file->meta[i].key;
    *value = file->meta[i].value;
}

const char *dd_tensors_meta(const dd_tensors *file, const char *key)
{
    for (int i = 0; i < file->n_meta; i++)
        if (strcmp(file->meta[i].key, key) == 0) return file->meta[i].value;
    return NULL;
}

bool dd_tensors_set_meta(dd_tensors *file, const char *key, const char *value)
{
    for (int i = 0; i < file->n_meta; i++) {
        if (strcmp(file->meta[i].key, key) != 0) continue;
        file->meta[i].value = value;
        return true;
    }
    dd_text_pair *grown = realloc(file->meta, ((size_t)file->n_meta + 1) * sizeof *grown);
    if (!grown) return false;
    file->meta = grown;
    file->meta[file->n_meta++] = (dd_text_pair){key, value};
    return true;
}

/* SPDX-License-Identifier: MIT
 * Sharded safetensors. The index: {"weight_map": {TENSOR: FILE, …}, …}; every tensor that it lists must be in its file, and
 * every tensor of its files must be listed. */
#define _POSIX_C_SOURCE 200809L
#include "host/io/shards.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/io/json.h"
#include "host/io/path.h"
#include "host/io/safetensors.h"
#include "host/io/tensors_internal.h"

#define MAX_SHARDS 256

typedef struct joiner {
    dd_tensors *all; /* its shards are in the order of opening */
    const char *folder;
    char index[DD_PATH_MAX];
    int n_shards;
    dd_err *err;
} joiner;

static bool plain_name(const char *s)
{
    const size_t n = strlen(s), end = strlen(".safetensors");
    if (n <= end || n > 255 || s[0] == '.' || strcmp(s + n - end, ".safetensors") != 0) return false;
    for (; *s; s++)
        if (*s == '/' || *s == '\\' || (unsigned char)*s < 0x20 || *s == 0x7f) return false;
    return true;
}

static const dd_tensors *find_shard(const joiner *j, const char *path)
{
    for (const dd_tensors *s = j->all->shards; s; s = s->next)
        if (strcmp(s->path, path) == 0) return s;
    return NULL;
}

static dd_status open_shard(joiner *j, const char *name)
{
    char path[DD_PATH_MAX];
    if (!plain_name(name))
        return DD_FAIL(j->err, DD_ERR_FORMAT, "%s: shard \"%.80s\" is no plain name of a safetensors file", j->index,
                       name);
    DD_TRY(dd_path_join(path, j->folder, name, "", j->err));
    if (find_shard(j, path)) return DD_OK;
    if (j->n_shards++ == MAX_SHARDS)
        return DD_FAIL(j->err, DD_ERR_FORMAT, "%s: more than %d shards", j->index, MAX_SHARDS);
    dd_tensors *shard;
    DD_TRY(dd_safetensors_open(&shard, path, j->err));
    shard->next = j->all->shards;
    j->all->shards = shard;
    j->all->bytes_shards += shard->bytes;
    return DD_OK;
}

/* Every shard that the map names, and then its entries against the shards. */
static dd_status join(joiner *j, json_t *map)
{
    const char *name;
    json_t *value;
    size_t held = 0;
    dd_tensors *f = j->all;
    json_object_foreach(map, name, value)
    {
        if (!json_is_string(value))
            return DD_FAIL(j->err, DD_ERR_FORMAT, "%s: weight_map: %.80s names no file", j->index, name);
        DD_TRY(open_shard(j, json_string_value(value)));
    }
    for (const dd_tensors *s = f->shards; s; s = s->next) held += (size_t)s->n_tensors;
    if (held != json_object_size(map) || held == 0 || held > DD_TENSORS_MAX)
        return DD_FAIL(j->err, DD_ERR_FORMAT, "%s lists %zu tensors, but its files hold %zu (limit %d)", j->index,
                       json_object_size(map), held, DD_TENSORS_MAX);
    f->tensors = calloc(held, sizeof *f->tensors);
    if (!f->tensors) return DD_FAIL(j->err, DD_ERR_NOMEM, "%s: out of memory for %zu tensors", j->index, held);
    json_object_foreach(map, name, value)
    {
        char path[DD_PATH_MAX];
        DD_TRY(dd_path_join(path, j->folder, json_string_value(value), "", j->err));
        const dd_tensor *t = dd_tensors_find(find_shard(j, path), name);
        if (!t) return DD_FAIL(j->err, DD_ERR_FORMAT, "%s: tensor %.80s is not in %s", j->index, name, path);
        f->tensors[f->n_tensors++] = *t;
    }
    qsort(f->tensors, held, sizeof *f->tensors, dd_tensor_by_name);
    return DD_OK;
}

static dd_status join_index(joiner *j)
{
    json_t *doc, *map;
    DD_TRY(dd_json_read_file(&doc, j->index, j->err));
    dd_status st = dd_json_object(doc, "weight_map", j->index, &map, j->err);
    if (st == DD_OK) st = join(j, map);
    json_decref(doc);
    return st;
}

dd_status dd_shards_open(dd_tensors **out, const char *folder, const char *stem, dd_err *err)
{
    char single[DD_PATH_MAX];
    joiner j = {.folder = folder, .err = err};
    *out = NULL;
    DD_TRY(dd_path_join(single, folder, stem, ".safetensors", err));
    DD_TRY(dd_path_join(j.index, folder, stem, ".safetensors.index.json", err));
    if (access(single, F_OK) == 0 || access(j.index, F_OK) != 0) return dd_safetensors_open(out, single, err);
    DD_TRY(dd_tensors_begin(&j.all, folder, err));
    const dd_status st = join_index(&j);
    if (st != DD_OK) dd_tensors_close(&j.all);
    else *out = j.all;
    return st;
}

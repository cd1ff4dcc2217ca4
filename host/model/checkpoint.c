/* SPDX-License-Identifier: MIT
 * Which format a checkpoint has. */
#define _POSIX_C_SOURCE 200809L
#include "host/model/checkpoint.h"

#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "host/io/tensors_internal.h"
#include "host/model/diffusers.h"

static bool begins_with(const dd_tensors *f, const char *bytes, size_t n)
{
    return f->bytes >= n && memcmp(f->map, bytes, n) == 0;
}

/* A safetensors file begins with the length of its header: none of the beginnings below is one that it allows, but for
 * a header of exactly 67324752 bytes. */
static dd_status read_by_content(dd_tensors *f, dd_which which, dd_err *err)
{
    /* The pickled number 0x1950a86a20f9469cfc6c stands first in files of torch.save before PyTorch 1.6. */
    static const char legacy[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46";
    if (begins_with(f, "PK\3\4", 4) || begins_with(f, "PK\5\6", 4)) return dd_torch_read(f, which, err);
    if (begins_with(f, legacy, 8))
        return DD_FAIL(err, DD_ERR_UNSUPPORTED,
                       "%s is in the format that torch.save had before PyTorch 1.6; load it and save it again",
                       f->path);
    DD_TRY(dd_safetensors_read(f, err));
    if (which == DD_WHICH_EMA || which == DD_WHICH_MODEL)
        return DD_FAIL(err, DD_ERR_ARG, "%s: a safetensors file has no choice of ema and model", f->path);
    return DD_OK;
}

static dd_status open_folder(dd_tensors **out, const char *path, dd_which which, dd_err *err)
{
    *out = NULL;
    if (which != DD_WHICH_AUTO)
        return DD_FAIL(err, DD_ERR_ARG, "%s: a folder of diffusers has no choice of ema and model", path);
    return dd_diffusers_open(out, path, err);
}

static dd_status open_any(dd_tensors **out, const char *path, dd_which which, dd_err *err)
{
    struct stat info;
    if (path && stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return open_folder(out, path, which, err);
    DD_TRY(dd_tensors_map(out, path, "checkpoint", err));
    const dd_status st = read_by_content(*out, which, err);
    if (st != DD_OK) dd_tensors_close(out);
    return st;
}

dd_status dd_checkpoint_open(dd_tensors **out, const char *path, const dd_checkpoint_choice *choice, dd_err *err)
{
    static const dd_checkpoint_choice as_it_is = {0};
    const dd_checkpoint_choice *c = choice ? choice : &as_it_is;
    DD_TRY(open_any(out, path, c->which, err));
    if (!c->compat || dd_tensors_set_meta(*out, "compat", c->compat)) return DD_OK;
    dd_tensors_close(out);
    return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for metadata", path);
}

/* Index of a name, or -1. "auto" and NULL: 0. */
static int find(const char *name, const char *const names[3])
{
    for (int i = 0; name && i < 3; i++)
        if (strcmp(name, names[i]) == 0) return i;
    return name ? -1 : 0;
}

dd_status dd_checkpoint_choose(dd_checkpoint_choice *out, const char *which, const char *compat, dd_err *err)
{
    static const char *const parts[3] = {"auto", "ema", "model"}, *const numerics[3] = {"auto", "official",
                                                                                        "diffusers"};
    const int w = find(which, parts), c = find(compat, numerics);
    *out = (dd_checkpoint_choice){0};
    if (w < 0) return DD_FAIL(err, DD_ERR_ARG, "which: '%s' is none of auto, ema, model", which);
    if (c < 0) return DD_FAIL(err, DD_ERR_ARG, "compat: '%s' is none of auto, official, diffusers", compat);
    *out = (dd_checkpoint_choice){(dd_which)w, c ? numerics[c] : NULL};
    return DD_OK;
}

/* SPDX-License-Identifier: MIT
 * Opens the file of a VAE: which file and which configuration a path means, then geometry and network. */
#include "host/model/vae.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/json.h"
#include "host/io/path.h"
#include "host/model/checkpoint.h"

#define WEIGHTS "diffusion_pytorch_model.safetensors"
#define CONFIG "config.json"

/* The weights of a folder: its own, or those in `vae` of a pipeline. */
static dd_status find_weights(char *out, const char *folder, dd_err *err)
{
    DD_TRY(dd_path_join(out, folder, "vae/" WEIGHTS, "", err));
    if (dd_path_is_file(out)) return DD_OK;
    DD_TRY(dd_path_join(out, folder, WEIGHTS, "", err));
    if (dd_path_is_file(out)) return DD_OK;
    return DD_FAIL(err, DD_ERR_NOT_FOUND, "%s: neither " WEIGHTS " nor vae/" WEIGHTS " is in this folder", folder);
}

/* config.json beside the weights, if it is that of an AutoencoderKL: one file of many in a folder may have another's. */
static dd_status find_config(char *out, const char *weights, bool of_folder, bool *found, dd_err *err)
{
    json_t *doc = NULL;
    const char *slash = strrchr(weights, '/');
    const int n = snprintf(out, DD_PATH_MAX, "%.*s" CONFIG, slash ? (int)(slash - weights + 1) : 0, weights);
    *found = false;
    if (n < 0 || n >= DD_PATH_MAX || !dd_path_is_file(out)) return DD_OK;
    const dd_status st = dd_json_read_file(&doc, out, of_folder ? err : NULL);
    if (st != DD_OK) return of_folder ? st : DD_OK;
    const char *kind = json_string_value(json_object_get(doc, "_class_name"));
    *found = kind && strcmp(kind, "AutoencoderKL") == 0;
    const dd_status wrong = of_folder && !*found
                                ? DD_FAIL(err, DD_ERR_FORMAT, "%s: _class_name is %s, expected AutoencoderKL", out,
                                          kind ? kind : "missing")
                                : DD_OK;
    json_decref(doc);
    return wrong;
}

dd_status dd_vae_open(dd_vae **out, const char *path, dd_err *err)
{
    char weights[DD_PATH_MAX], config[DD_PATH_MAX];
    const bool folder = dd_path_is_folder(path);
    bool has_config = false;
    dd_status st = DD_OK;
    *out = NULL;
    if (folder) DD_TRY(find_weights(weights, path, err));
    const char *file = folder ? weights : path;
    DD_TRY(find_config(config, file, folder, &has_config, err));
    dd_vae *v = calloc(1, sizeof *v);
    if (!v) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", path);
    DD_TRY_GOTO(st, dd_checkpoint_open(&v->file, file, NULL, err), fail);
    v->path = dd_tensors_path(v->file);
    DD_TRY_GOTO(st, dd_vae_layout_find(v, err), fail);
    DD_TRY_GOTO(st, dd_vae_config_read(v, has_config ? config : NULL, err), fail);
    DD_TRY_GOTO(st, dd_vae_build(v, err), fail);
    *out = v;
    return DD_OK;
fail:
    dd_vae_close(&v);
    return st;
}

void dd_vae_close(dd_vae **vae)
{
    dd_vae *v = *vae;
    if (!v) return;
    free(v->convs);
    free(v->norms);
    free(v->values);
    free(v->ops);
    dd_tensors_close(&v->file);
    free(v);
    *vae = NULL;
}

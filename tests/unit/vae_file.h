/* SPDX-License-Identifier: MIT
 * The golden decoder in other spellings, and with things missing, added or of other shapes. */
#ifndef DD_TESTS_UNIT_VAE_FILE_H
#define DD_TESTS_UNIT_VAE_FILE_H

/* The including file includes cmocka.h first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/safetensors.h"

#define VAE_GOLDEN "tests/golden/vae_c8_16_32.safetensors"

typedef struct vae_file {
    const dd_text_pair *names; /* parts of names and what they become, up to a NULL */
    const char *prefix;
    bool rank4;        /* weights of the attention are [n,c,1,1] */
    const char *drop;  /* this tensor is missing */
    const char *extra; /* this one is there as well: [1] */
    const char *wide;  /* this one has one element more along wide_axis */
    int wide_axis;
    const char *groups; /* metadata norm_num_groups; NULL: as it is */
} vae_file;

/* As modeling_utils.py of diffusers renames them when it loads. */
static const dd_text_pair vae_old_names[] = {
    {".to_q.", ".query."}, {".to_k.", ".key."}, {".to_v.", ".value."}, {".to_out.0.", ".proj_attn."}, {NULL, NULL}};

/* The names of ldm/modules/diffusionmodules/model.py for three levels. */
static const dd_text_pair vae_compvis_names[] = {{"mid_block.resnets.0.", "mid.block_1."},
                                                 {"mid_block.resnets.1.", "mid.block_2."},
                                                 {"mid_block.attentions.0.", "mid.attn_1."},
                                                 {".group_norm.", ".norm."},
                                                 {".to_q.", ".q."},
                                                 {".to_k.", ".k."},
                                                 {".to_v.", ".v."},
                                                 {".to_out.0.", ".proj_out."},
                                                 {"up_blocks.0.resnets.", "up.2.block."},
                                                 {"up_blocks.1.resnets.", "up.1.block."},
                                                 {"up_blocks.2.resnets.", "up.0.block."},
                                                 {"up_blocks.0.upsamplers.0.", "up.2.upsample."},
                                                 {"up_blocks.1.upsamplers.0.", "up.1.upsample."},
                                                 {"conv_shortcut", "nin_shortcut"},
                                                 {"conv_norm_out", "norm_out"},
                                                 {NULL, NULL}};

static inline void vae_rename(const vae_file *f, const char *from, char *to, size_t size)
{
    snprintf(to, size, "%s%s", f->prefix ? f->prefix : "", from);
    for (const dd_text_pair *p = f->names; p && p->key; p++) {
        char rest[256], *at = strstr(to, p->key);
        if (!at) continue;
        snprintf(rest, sizeof rest, "%s", at + strlen(p->key));
        snprintf(at, size - (size_t)(at - to), "%s%s", p->value, rest);
    }
}

static inline bool vae_is(const char *want, const char *name) { return want && strcmp(want, name) == 0; }

/* drop and wide name tensors as the golden file does; extra as the file that is written. */
static inline void vae_write(const char *path, const vae_file *f)
{
    dd_tensors *from = NULL;
    dd_err err = {0};
    dd_tensor_entry list[256];
    static char name[256][160];
    static float zeros[65536];
    int n = 0;
    assert_int_equal(dd_safetensors_open(&from, VAE_GOLDEN, &err), DD_OK);
    for (int i = 0; i < dd_tensors_count(from); i++) {
        const dd_tensor *t = dd_tensors_at(from, i);
        if (strncmp(t->name, "golden.", 7) == 0 || vae_is(f->drop, t->name)) continue;
        assert_true(n < 255);
        vae_rename(f, t->name, name[n], sizeof name[n]);
        dd_tensor_entry e = {.name = name[n], .dtype = t->dtype, .rank = t->rank, .data = t->data};
        memcpy(e.shape, t->shape, sizeof e.shape);
        if (f->rank4 && strstr(t->name, "attentions.0.to_") && t->rank == 2) {
            e.shape[2] = e.shape[3] = 1;
            e.rank = 4;
        }
        if (vae_is(f->wide, t->name)) {
            e.shape[f->wide_axis]++;
            e.data = zeros;
        }
        list[n++] = e;
    }
    if (f->extra)
        list[n++] = (dd_tensor_entry){.name = f->extra, .dtype = DD_F32, .rank = 1, .shape = {1}, .data = zeros};
    const dd_text_pair meta[] = {{"norm_num_groups", f->groups ? f->groups : "4"}, {"sample_size", "16"}};
    if (dd_safetensors_write(path, list, n, meta, 2, &err) != DD_OK) fail_msg("%s", err.text);
    dd_tensors_close(&from);
}

#endif

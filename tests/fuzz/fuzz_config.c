/* SPDX-License-Identifier: MIT
 * Fuzz target of config.json of a DiT in diffusers' layout. Whatever it says, what is accepted has the shapes of the weights
 * beside it. */
#define _XOPEN_SOURCE 700
#define FUZZ_NAME "fuzz_config"
#define FUZZ_TOKENS 30
#define FUZZ_SMALLEST 2
#define FUZZ_OWN_TOKENS                                                                                  \
    FUZZ_TOKEN("\"_class_name\":\"DiTTransformer2DModel\","), FUZZ_TOKEN("\"sample_size\":"),            \
        FUZZ_TOKEN("\"patch_size\":1,"), FUZZ_TOKEN("\"num_layers\":1024,"),                             \
        FUZZ_TOKEN("\"num_attention_heads\":4096,"), FUZZ_TOKEN("\"attention_head_dim\":4,"),            \
        FUZZ_TOKEN("\"out_channels\":null,"), FUZZ_TOKEN("\"norm_eps\":"), FUZZ_TOKEN("\"norm_type\":"), \
        FUZZ_TOKEN("\"nan\"")
#include "tests/fuzz/fuzz_geometry.h"
#include "tests/fuzz/fuzz_use.h"

#include "host/model/checkpoint.h"

#define DIT "tests/golden/diffusers_dit/transformer/"
#define STEM "diffusion_pytorch_model"

/* The path of the input, beside the shards of a DiT. */
static const char *prepare(void)
{
    static const char *config;
    if (config) return config;
    folder_link(DIT STEM "-00001-of-00002.safetensors", STEM "-00001-of-00002.safetensors");
    folder_link(DIT STEM "-00002-of-00002.safetensors", STEM "-00002-of-00002.safetensors");
    folder_link(DIT STEM ".safetensors.index.json", STEM ".safetensors.index.json");
    return config = folder_file("config.json");
}

/* In the numerics of compat. */
static bool taken(const char *compat)
{
    dd_err err = {0};
    dd_tensors *f = NULL;
    const dd_checkpoint_choice choice = {.compat = compat};
    const dd_status st = dd_checkpoint_open(&f, folder_path(), &choice, &err);
    use_result(st, f, &err, folder_path());
    const bool fits = f && configure(f);
    if (f) use_tensors(f);
    dd_tensors_close(&f);
    return fits;
}

static bool run_one(const uint8_t *data, size_t size)
{
    write_input(prepare(), data, size);
    const bool official = taken(NULL), diffusers = taken("diffusers");
    require(official || !diffusers, "the epsilon alone is not looked at in official numerics");
    return diffusers;
}

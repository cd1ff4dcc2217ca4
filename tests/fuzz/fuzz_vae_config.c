/* SPDX-License-Identifier: MIT
 * Fuzz target of config.json of a decoder. Whatever it says, what is accepted has the shapes of the weights beside it. */
#define _XOPEN_SOURCE 700
#define FUZZ_NAME "fuzz_vae_config"
#define FUZZ_TOKENS 29
#define FUZZ_SMALLEST 2
#define FUZZ_OWN_TOKENS                                                                                             \
    FUZZ_TOKEN("\"_class_name\":\"AutoencoderKL\","), FUZZ_TOKEN("\"sample_size\":"),                               \
        FUZZ_TOKEN("\"norm_num_groups\":"), FUZZ_TOKEN("\"scaling_factor\":"), FUZZ_TOKEN("\"shift_factor\":0.1,"), \
        FUZZ_TOKEN("\"block_out_channels\":"), FUZZ_TOKEN("\"layers_per_block\":1,"), FUZZ_TOKEN("\"act_fn\":"),    \
        FUZZ_TOKEN("\"silu\"")
#include "tests/fuzz/fuzz_json.h"

#include "host/model/vae.h"

static const char *prepare(void)
{
    static const char *config;
    if (config) return config;
    folder_link("tests/golden/vae_c8_16_32.safetensors", "diffusion_pytorch_model.safetensors");
    return config = folder_file("config.json");
}

static bool run_one(const uint8_t *data, size_t size)
{
    dd_err err = {0};
    dd_vae *vae = NULL;
    write_input(prepare(), data, size);
    const dd_status st = dd_vae_open(&vae, folder_path(), &err);
    require((st == DD_OK) == (vae != NULL), "a decoder exactly on success");
    if (!vae) {
        require(err.status == st && strstr(err.text, folder_path()), "errors name the file");
        return false;
    }
    const dd_vae_config *c = &vae->cfg;
    require(c->groups > 0 && c->deepest % c->groups == 0, "groups divide the channels");
    require(c->scaling >= 1e-6f && c->scaling <= 1e6f, "scaling is a number of use");
    require(dd_vae_tile(c) >= 1 && c->sample_size <= DD_VAE_MAX_EDGE, "tiles have a size");
    dd_vae_close(&vae);
    return true;
}

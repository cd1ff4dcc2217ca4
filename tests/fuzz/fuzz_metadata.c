/* SPDX-License-Identifier: MIT
 * Fuzz target of the metadata of an official checkpoint: the input is an object whose texts are the fields. Whatever they
 * say, what is accepted has the shapes of the tensors. */
#define _XOPEN_SOURCE 700
#define FUZZ_NAME "fuzz_metadata"
#define FUZZ_TOKENS 32
#define FUZZ_SMALLEST 2
#define FUZZ_OWN_TOKENS                                                                                             \
    FUZZ_TOKEN("\"compat\":\"diffusers\","), FUZZ_TOKEN("\"labels\":\"a,b\","), FUZZ_TOKEN("\"num_heads\":\"2\","), \
        FUZZ_TOKEN("\"cfg_channels\":\"1\","), FUZZ_TOKEN("\"mlp_ratio\":\"4\","),                                  \
        FUZZ_TOKEN("\"learn_sigma\":\"True\","), FUZZ_TOKEN("\"norm_eps\":\"1\","), FUZZ_TOKEN("\"depth\":\"3\","), \
        FUZZ_TOKEN("\"nan\""), FUZZ_TOKEN("inf"), FUZZ_TOKEN("0x1p60"), FUZZ_TOKEN("-")
#include "tests/fuzz/fuzz_geometry.h"

#include "host/io/json.h"
#include "host/io/safetensors.h"
#include "host/io/tensors_internal.h"

#define OFFICIAL "tests/golden/policy_dit_d32_h2_p2.safetensors"

static bool run_one(const uint8_t *data, size_t size)
{
    json_t *doc = NULL, *value;
    const char *key;
    dd_tensors *f = NULL;
    if (dd_json_read_text(&doc, (const char *)data, size, "input", NULL) != DD_OK) return false;
    require(dd_safetensors_open(&f, OFFICIAL, NULL) == DD_OK, "run in the root of the project");
    json_object_foreach(doc, key, value) if (json_is_string(value))
        require(dd_tensors_set_meta(f, key, json_string_value(value)), "memory for metadata");
    const bool fits = json_is_object(doc) && configure(f);
    dd_tensors_close(&f);
    json_decref(doc);
    return fits;
}

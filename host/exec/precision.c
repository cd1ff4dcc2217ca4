/* SPDX-License-Identifier: MIT
 * Precisions by name, and which of them a backend has. */
#include "host/exec/precision.h"

#include <string.h>

static const struct {
    const char *name;
    dd_format input; /* in blocks where the backend says so */
} precisions[] = {{"fp32", DD_FMT_F32}, {"tf32", DD_FMT_TF32}, {"bf16", DD_FMT_BF16}, {"fp16", DD_FMT_F16}};
#define COUNT (sizeof precisions / sizeof precisions[0])

dd_status dd_precision_parse(dd_format *input, const char *name, dd_err *err)
{
    *input = DD_FMT_BF16;
    if (strcmp(name, "auto") == 0) return DD_OK;
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(name, precisions[i].name) == 0) {
            *input = precisions[i].input;
            return DD_OK;
        }
    if (strcmp(name, "fp8") == 0) return DD_FAIL(err, DD_ERR_UNSUPPORTED, "precision fp8: no backend computes in it");
    return DD_FAIL(err, DD_ERR_ARG, "precision '%.40s' is not known: auto, fp32, tf32, bf16 or fp16", name);
}

dd_status dd_cache_parse(dd_format *cache, const char *name, dd_format input, dd_err *err)
{
    *cache = input == DD_FMT_F32 || input == DD_FMT_TF32 ? DD_FMT_F32 : DD_FMT_BF16;
    if (!*name || strcmp(name, "auto") == 0) return DD_OK;
    *cache = strcmp(name, "bf16") == 0 ? DD_FMT_BF16 : DD_FMT_F32;
    if (*cache == DD_FMT_BF16 || strcmp(name, "f32") == 0) return DD_OK;
    return DD_FAIL(err, DD_ERR_ARG, "cache-dtype '%.40s' is none of auto, f32, bf16", name);
}

const char *dd_precision_name(dd_format input)
{
    for (size_t i = 0; i < COUNT; i++)
        if (precisions[i].input == input) return precisions[i].name;
    return "bf16";
}

bool dd_precision_on(const dd_backend *be, dd_format input)
{
    switch (input) {
    case DD_FMT_F32: return true;
    case DD_FMT_F16: return be->fp16;
    case DD_FMT_TF32: return be->tf32;
    case DD_FMT_BF16:
    case DD_FMT_BF16_BLOCKS: return be->bf16_input != DD_FMT_F32;
    case DD_FMT_COUNT: break;
    }
    return false;
}

dd_status dd_precision_find(dd_format *input, const dd_backend *be, const char *name, dd_err *err)
{
    DD_TRY(dd_precision_parse(input, name, err));
    if (strcmp(name, "auto") == 0) {
        *input = be->prefers_bf16 ? be->bf16_input : DD_FMT_F32;
        return DD_OK;
    }
    if (!dd_precision_on(be, *input)) {
        if (*input == DD_FMT_BF16)
            return DD_FAIL(err, DD_ERR_UNSUPPORTED,
                           "precision bf16: backend %s (%s) has no bf16 instructions here; use fp32", be->name,
                           be->detail);
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "precision %s: backend %s computes in fp32 or bf16", name, be->name);
    }
    if (*input == DD_FMT_BF16) *input = be->bf16_input;
    return DD_OK;
}

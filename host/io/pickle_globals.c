/* SPDX-License-Identifier: MIT
 * The list of globals. Element types: torch/storage.py. */
#include "host/io/pickle_globals.h"

#include <stdbool.h>
#include <string.h>

typedef struct known_global {
    const char *module, *name;
    dd_pickle_call call;
    dd_torch_dtype dtype; /* name NULL: no storage type */
} known_global;

static const known_global known_globals[] = {
    {"collections", "OrderedDict", DD_CALL_DICT, {0}},
    {"torch._utils", "_rebuild_tensor_v2", DD_CALL_TENSOR, {0}},
    {"torch._utils", "_rebuild_parameter", DD_CALL_PARAMETER, {0}},
    {"torch", "FloatStorage", DD_CALL_NOTHING, {"F32", 4, 1, DD_F32}},
    {"torch", "HalfStorage", DD_CALL_NOTHING, {"F16", 2, 1, DD_F16}},
    {"torch", "BFloat16Storage", DD_CALL_NOTHING, {"BF16", 2, 1, DD_BF16}},
    {"torch", "DoubleStorage", DD_CALL_NOTHING, {"F64", 8, 1, DD_F64}},
    {"torch", "LongStorage", DD_CALL_NOTHING, {"I64", 8, 1, DD_I64}},
    {"torch", "IntStorage", DD_CALL_NOTHING, {"I32", 4, 1, DD_I32}},
    {"torch", "ByteStorage", DD_CALL_NOTHING, {"U8", 1, 1, DD_U8}},
    {"torch", "ShortStorage", DD_CALL_NOTHING, {"I16", 2, 0, DD_F32}},
    {"torch", "CharStorage", DD_CALL_NOTHING, {"I8", 1, 0, DD_F32}},
    {"torch", "BoolStorage", DD_CALL_NOTHING, {"BOOL", 1, 0, DD_F32}},
};

static bool is_text(const char *s, size_t n, const char *text) { return strlen(text) == n && memcmp(s, text, n) == 0; }

dd_pickle_value dd_pickle_global(const char *module, size_t module_bytes, const char *name, size_t name_bytes)
{
    for (size_t i = 0; i < sizeof known_globals / sizeof *known_globals; i++) {
        const known_global *g = &known_globals[i];
        if (!is_text(module, module_bytes, g->module) || !is_text(name, name_bytes, g->name)) continue;
        return (dd_pickle_value){.kind = DD_PICKLE_GLOBAL, .call = g->call, .dtype = g->dtype.name ? &g->dtype : NULL};
    }
    return (dd_pickle_value){.kind = DD_PICKLE_INERT};
}

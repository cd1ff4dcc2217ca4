/* SPDX-License-Identifier: MIT
 * The list of ops, from ops.def, and lists of cases. */
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/checkkernel/check.h"

const ck_op *const ck_ops[DD_OP_COUNT] = {
#define DD_OP(name) [DD_OP_##name] = &ck_op_##name,
#include "kernels/ops.def"
#undef DD_OP
};

void ck_list_add(ck_list *l, const void *params, size_t bytes, const char *fmt, ...)
{
    ck_entry e = {.params = NULL};
    va_list args;
    va_start(args, fmt);
    vsnprintf(e.name, sizeof e.name, fmt, args);
    va_end(args);
    if (l->filter && strcmp(l->filter, e.name) != 0 && fnmatch(l->filter, e.name, 0) != 0) return;
    for (int i = 0; i < l->n; i++)
        if (strcmp(l->entries[i].name, e.name) == 0) return;
    if (l->n == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 64;
        l->entries = realloc(l->entries, (size_t)l->capacity * sizeof *l->entries);
        if (l->entries == NULL) exit(2);
    }
    e.params = ck_alloc(bytes);
    memcpy(e.params, params, bytes);
    l->entries[l->n++] = e;
}

void ck_list_free(ck_list *l)
{
    for (int i = 0; i < l->n; i++) free(l->entries[i].params);
    free(l->entries);
    l->entries = NULL;
    l->n = l->capacity = 0;
}

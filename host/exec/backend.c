/* SPDX-License-Identifier: MIT
 * Finds a backend by name. */
#include "host/exec/backend.h"

#include <string.h>

#include "host/exec/backend_host.h"

dd_status dd_backend_open(dd_backend **out, const char *name, int threads, dd_err *err)
{
    *out = NULL;
    if (threads < 0 || threads > 1024)
        return DD_FAIL(err, DD_ERR_ARG, "threads %d is out of range: 0 (all CPUs) to 1024", threads);
    if (strcmp(name, "auto") == 0 || strcmp(name, "cpu") == 0) return dd_backend_open_cpu(out, threads, err);
    if (strcmp(name, "ref") == 0) return dd_backend_open_ref(out, threads, err);
    if (strcmp(name, "cuda") == 0 || strcmp(name, "emu") == 0)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "backend %s is not part of this build: there are cpu and ref", name);
    return DD_FAIL(err, DD_ERR_ARG, "backend '%s' is not known: auto, cpu or ref", name);
}

void dd_backend_close(dd_backend **be)
{
    if (*be) (*be)->close(*be);
    *be = NULL;
}

const char *dd_op_name(dd_op_id id)
{
    static const char *const names[] = {
#define DD_OP(name) #name,
#include "kernels/ops.def"
#undef DD_OP
    };
    return id < DD_OP_COUNT ? names[id] : "?";
}

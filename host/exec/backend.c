/* SPDX-License-Identifier: MIT
 * Finds a backend by name. */
#include "host/exec/backend.h"

#include <stdio.h>
#include <string.h>

#include "host/exec/backend_host.h"
#include "host/exec/plugin.h"

static dd_status open_plugin(dd_backend **out, const char *name, int device, dd_err *err)
{
    dd_err local = {0};
    const dd_status st = dd_plugin_open(out, name, device, &local);
    return st == DD_OK ? st : dd_err_set(err, st, local.file, local.line, "backend %s: %s", name, local.text);
}

/* A wrong argument is the caller's to mend: it is no reason to take another backend. */
static dd_status open_auto(dd_backend **out, const dd_backend_choice *choice, char *why, dd_err *err)
{
    dd_err local = {0};
    const dd_status st = dd_plugin_open(out, "cuda", choice->device, &local);
    if (st == DD_OK) return DD_OK;
    if (st == DD_ERR_ARG) return dd_err_set(err, st, local.file, local.line, "backend cuda: %s", local.text);
    if (why) snprintf(why, DD_ERR_TEXT, "backend auto: cpu, because %.*s", DD_ERR_TEXT - 32, local.text);
    return dd_backend_open_cpu(out, choice->threads, err);
}

static dd_status open_named(dd_backend **out, const dd_backend_choice *choice, char *why, dd_err *err)
{
    const char *name = choice->name;
    const int threads = choice->threads;
    const bool cpu = strcmp(name, "cpu") == 0, ref = strcmp(name, "ref") == 0;
    *out = NULL;
    if (why) why[0] = 0;
    if (threads < 0 || threads > 1024)
        return DD_FAIL(err, DD_ERR_ARG, "threads %d is out of range: 0 (all CPUs) to 1024", threads);
    if (choice->device < 0)
        return DD_FAIL(err, DD_ERR_ARG, "device %d is out of range: the first one is 0", choice->device);
    if ((cpu || ref) && choice->device > 0)
        return DD_FAIL(err, DD_ERR_ARG, "device %d: backend %s has no devices to choose from", choice->device, name);
    if (cpu) return dd_backend_open_cpu(out, threads, err);
    if (ref) return dd_backend_open_ref(out, threads, err);
    if (strcmp(name, "auto") == 0) return open_auto(out, choice, why, err);
    if (strcmp(name, "cuda") == 0 || strcmp(name, "emu") == 0) return open_plugin(out, name, choice->device, err);
    return DD_FAIL(err, DD_ERR_ARG, "backend '%s' is not known: auto, cuda, cpu, ref or emu", name);
}

dd_status dd_backend_open(dd_backend **out, const dd_backend_choice *choice, char *why, dd_err *err)
{
    DD_TRY(open_named(out, choice, why, err));
    if (choice->no_graph) (*out)->record = NULL;
    return DD_OK;
}

void dd_backend_close(dd_backend **be)
{
    if (*be) (*be)->close(*be);
    *be = NULL;
}

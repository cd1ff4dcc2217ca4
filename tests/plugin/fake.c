/* SPDX-License-Identifier: MIT
 * A plugin for tests: the backend cpu behind two made-up devices, of which the second is of no use. Words in DYDIT_FAKE,
 * commas between them, change what it does:
 *
 *   abi, size      refuses as a plugin of another interface or of another build
 *   driver, empty  finds no driver, no device
 *   nothing        succeeds without a backend
 *   emu            is named so
 *   ref            computes as the backend ref, which has every precision; weights of 32 bits take twice the memory of
 *                  those of 16, as on a device
 *   free=BYTES     memory that is free when the backend opens (64 GiB if not given); allocations are taken off
 *   claimed=BYTES  what is said to be free when that is asked for the first time
 *   largest=BYTES  the largest block that there is, whatever is free */
#include <stdlib.h>
#include <string.h>

#include "host/exec/backend_host.h"
#include "host/exec/plugin.h"

#define HEAD 64 /* bytes before a block, which hold its size */

typedef struct fake {
    dd_backend real; /* functions of the backend cpu */
    dd_device_list list;
    uint64_t free, largest, claimed; /* claimed: 0 once it was said */
} fake;

/* What follows WORD in DYDIT_FAKE, or NULL. */
static const char *wanted(const char *word)
{
    const char *at = getenv("DYDIT_FAKE");
    const size_t n = strlen(word);
    while (at && *at) {
        const size_t len = strcspn(at, ",");
        if (len >= n && strncmp(at, word, n) == 0 && (len == n || word[n - 1] == '=')) return at + n;
        at += len + (at[len] == ',');
    }
    return NULL;
}

static uint64_t wanted_number(const char *word, uint64_t otherwise)
{
    const char *text = wanted(word);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static dd_status fake_alloc(dd_backend *be, size_t bytes, void **out, dd_err *err)
{
    fake *f = be->impl;
    char *block;
    *out = NULL;
    if (bytes > f->free || bytes > f->largest)
        return DD_FAIL(err, DD_ERR_NOMEM, "the device has no %zu bytes more", bytes);
    DD_TRY(f->real.alloc(be, bytes + HEAD, (void **)&block, err));
    memcpy(block, &bytes, sizeof bytes);
    f->free -= bytes;
    *out = block + HEAD;
    return DD_OK;
}

static void fake_release(dd_backend *be, void *p)
{
    fake *f = be->impl;
    size_t bytes;
    if (!p) return;
    memcpy(&bytes, (char *)p - HEAD, sizeof bytes);
    f->free += bytes;
    f->real.release(be, (char *)p - HEAD);
}

static dd_status fake_memory_free(dd_backend *be, uint64_t *bytes, dd_err *err)
{
    (void)err;
    fake *f = be->impl;
    *bytes = f->claimed ? f->claimed : f->free;
    f->claimed = 0;
    return DD_OK;
}

static size_t fake_packed_bytes(dd_backend *be, const dd_weight_desc *desc)
{
    const fake *f = be->impl;
    return f->real.packed_bytes(be, desc) * dd_dtype_bytes(desc->as) / 2;
}

/* Counts for a graph; runs go through the ops as ever. */
static dd_status fake_record(dd_backend *be, dd_program *program, dd_err *err)
{
    (void)be, (void)err;
    program->recorded = program->ops;
    program->n_nodes = program->n_ops;
    return DD_OK;
}

static void fake_forget(dd_backend *be, dd_program *program)
{
    (void)be;
    program->recorded = NULL;
}

static void fake_close(dd_backend *be)
{
    fake *f = be->impl;
    if (f->real.close) f->real.close(be);
    else free(be);
    free(f);
}

static void fill_list(fake *f, int opened)
{
    f->list = (dd_device_list){.n = 2, .opened = opened, .driver = "13.0", .runtime = "13.0", .built = "sm_90"};
    f->list.device[0] = (dd_device){.index = 0,
                                    .name = "Fake One",
                                    .major = 9,
                                    .minor = 0,
                                    .sms = 132,
                                    .threads_per_sm = 2048,
                                    .memory = (uint64_t)80 << 30,
                                    .memory_free = f->free,
                                    .has_code = true};
    f->list.device[1] = f->list.device[0];
    f->list.device[1].index = 1;
    f->list.device[1].major = 7;
    f->list.device[1].has_code = false;
    strcpy(f->list.device[1].name, "Fake Two");
}

static dd_status refusal(const dd_host_api *host)
{
    if (host->abi != DD_PLUGIN_ABI || wanted("abi")) return DD_ERR_UNSUPPORTED;
    if (host->api_size != sizeof *host || host->backend_size != sizeof(dd_backend) || host->op_size != sizeof(dd_op) ||
        wanted("size"))
        return DD_FAIL(host->err, DD_ERR_UNSUPPORTED, "the plugin is of another build");
    if (wanted("driver")) return DD_FAIL(host->err, DD_ERR_DEVICE, "there is no NVIDIA driver");
    if (wanted("empty")) return DD_FAIL(host->err, DD_ERR_DEVICE, "there is no device");
    if (host->device > 1) return DD_FAIL(host->err, DD_ERR_ARG, "device %d: there are 0 to 1", host->device);
    if (host->device == 1)
        return DD_FAIL(host->err, DD_ERR_UNSUPPORTED, "no code for compute capability 7.0 (built for sm_90)");
    return DD_OK;
}

__attribute__((visibility("default"))) dd_backend_open_fn dd_backend_open_v1;

dd_status dd_backend_open_v1(const dd_host_api *host, dd_backend **out)
{
    *out = NULL;
    DD_TRY(refusal(host));
    if (wanted("nothing")) return DD_OK;
    fake *f = calloc(1, sizeof *f);
    if (!f) return DD_ERR_NOMEM;
    f->free = wanted_number("free=", (uint64_t)64 << 30);
    f->claimed = wanted_number("claimed=", 0);
    f->largest = wanted_number("largest=", UINT64_MAX);
    fill_list(f, host->device);
    dd_status st = DD_OK;
    if (host->device != DD_DEVICE_LIST)
        st = wanted("ref") ? dd_backend_open_ref(out, 2, host->err) : dd_backend_open_cpu(out, 2, host->err);
    else if (!(*out = calloc(1, sizeof **out))) st = DD_ERR_NOMEM;
    if (st != DD_OK) {
        free(f);
        return st;
    }
    dd_backend *be = *out;
    f->real = *be;
    be->impl = f;
    be->name = wanted("emu") ? "emu" : "cuda";
    be->devices = &f->list;
    be->close = fake_close;
    if (host->device == DD_DEVICE_LIST) return DD_OK;
    if (wanted("ref")) be->packed_bytes = fake_packed_bytes;
    be->alloc = fake_alloc;
    be->release = fake_release;
    be->memory_free = fake_memory_free;
    be->record = fake_record;
    be->forget = fake_forget;
    return DD_OK;
}

/* SPDX-License-Identifier: MIT
 * The backend `emu` as a program sees it, through host/exec/backend.h. Prints `ok - NAME`, `not ok - NAME`.
 *     test_plugin          DYDIT_PLUGIN_PATH is the folder of libdydit-emu.so
 *     test_plugin waits    EMU_FAIL=cudaStreamSynchronize:1,cudaEventSynchronize:1 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/exec/plugin.h"

#define SLOT ((size_t)8 << 20) /* of the staging memory */

static int n_failed;

static void verdict(bool ok, const char *name, const dd_err *err)
{
    printf("%s - %s\n", ok ? "ok" : "not ok", name);
    if (!ok && err) printf("#   %s: %s\n", dd_status_name(err->status), err->text);
    n_failed += !ok;
}

static bool says(const dd_err *err, dd_status st, const char *part)
{
    return err->status == st && strstr(err->text, part) != NULL;
}

static dd_backend *opened(void)
{
    dd_backend *be = NULL;
    dd_err err = {0};
    if (dd_plugin_open(&be, "emu", 0, &err) == DD_OK) return be;
    printf("not ok - the backend opens\n#   %s\n", err.text);
    exit(1);
}

/* An op that copies 4 bytes of device memory. */
static dd_program copy_of(dd_op *op, void *dst, const void *src)
{
    *op = (dd_op){.id = DD_OP_copy, .site = -1, .label = "test.copy"};
    op->args.copy = (dd_copy_args){dst, src, sizeof(float)};
    return (dd_program){.ops = op, .n_ops = 1};
}

/* ---- opening -------------------------------------------------------------------------------------------------- */

static dd_status open_raw(dd_host_api host, dd_backend **out)
{
    char path[512];
    dd_backend_open_fn *open = NULL;
    snprintf(path, sizeof path, "%.400s/libdydit-emu.so", getenv("DYDIT_PLUGIN_PATH"));
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL), *symbol = object ? dlsym(object, DD_PLUGIN_SYMBOL) : NULL;
    if (!symbol) exit(2);
    memcpy(&open, &symbol, sizeof open);
    return open(&host, out);
}

static void test_contract(void)
{
    dd_err err = {0};
    dd_backend *be = NULL;
    const dd_host_api good = {DD_PLUGIN_ABI, sizeof good, sizeof(dd_backend), sizeof(dd_op), DD_DEVICE_LIST, &err};
    dd_host_api host = good;
    host.abi++;
    bool ok = open_raw(host, &be) == DD_ERR_UNSUPPORTED && !be;
    host = good, host.api_size += 8;
    ok = ok && open_raw(host, &be) == DD_ERR_UNSUPPORTED && !be && err.status == DD_OK;
    verdict(ok, "another interface is refused without a look at the rest", &err);
    host = good, host.backend_size += 8;
    ok = open_raw(host, &be) == DD_ERR_UNSUPPORTED && !be && says(&err, DD_ERR_UNSUPPORTED, "of another build");
    dd_err_clear(&err);
    host = good, host.op_size += 8;
    ok = ok && open_raw(host, &be) == DD_ERR_UNSUPPORTED && !be && says(&err, DD_ERR_UNSUPPORTED, "of another build");
    verdict(ok, "a program of other structs is refused", &err);
    dd_err_clear(&err);
    ok = open_raw(good, &be) == DD_OK && be && be->devices;
    verdict(ok && be->devices->n == 1 && be->devices->opened == -1 && be->devices->device[0].has_code &&
                strcmp(be->devices->built, "compute_80 as PTX") == 0 && be->devices->device[0].memory > 0,
            "the list of devices opens none", &err);
    dd_backend_close(&be);
    ok = dd_plugin_open(&be, "emu", 1, &err) == DD_ERR_ARG && !be && says(&err, DD_ERR_ARG, "device 1 is not there");
    verdict(ok, "a device that is not there", &err);
}

/* ---- transfers ------------------------------------------------------------------------------------------------ */

static unsigned char pattern(size_t i) { return (unsigned char)(i * 2654435761u >> 13); }

/* Sizes round the end of a slot, from an odd place in it. */
static void test_transfers(dd_backend *be)
{
    static const size_t sizes[] = {0, 1, 63, SLOT - 1, SLOT, SLOT + 1, 2 * SLOT + 77, 100};
    dd_err err = {0};
    bool ok = true;
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        const size_t n = sizes[k];
        unsigned char *host = malloc(n + 1);
        void *device = NULL;
        ok = ok && host && be->alloc(be, n, &device, &err) == DD_OK;
        if (!ok) break;
        memset(host, 0x55, n);
        ok = be->download(be, host, device, n, &err) == DD_OK;
        for (size_t i = 0; i < n; i++) ok = ok && host[i] == 0;
        for (size_t i = 0; i < n; i++) host[i] = pattern(i);
        ok = ok && be->upload(be, device, host, n, &err) == DD_OK;
        memset(host, 0, n); /* free on return */
        ok = ok && be->download(be, host, device, n, &err) == DD_OK;
        for (size_t i = 0; i < n; i++) ok = ok && host[i] == pattern(i);
        be->release(be, device);
        free(host);
    }
    verdict(ok, "memory is zeroed; what goes up comes down, of any size", &err);
}

/* More uploads than the slots hold, some of them read by an op before the next one overwrites their target. */
static void test_order(dd_backend *be)
{
    enum { EVERY = 1000, LOOKS = 5, WIDTH = 1024 };
    dd_err err = {0};
    void *one = NULL, *seen = NULL;
    dd_op op;
    float v[WIDTH] = {0}, got[LOOKS] = {0};
    bool ok = be->alloc(be, sizeof v, &one, &err) == DD_OK && be->alloc(be, sizeof got, &seen, &err) == DD_OK;
    for (int i = 0; i < EVERY * LOOKS && ok; i++) {
        const dd_program program = copy_of(&op, (float *)seen + i / EVERY, one);
        v[0] = (float)i;
        ok = be->upload(be, one, v, sizeof v, &err) == DD_OK;
        if (i % EVERY == EVERY / 2) ok = ok && be->run(be, &program, 0, &err) == DD_OK;
    }
    ok = ok && be->download(be, got, seen, sizeof got, &err) == DD_OK;
    for (int k = 0; k < LOOKS; k++) ok = ok && got[k] == (float)(k * EVERY + EVERY / 2);
    verdict(ok, "uploads come in order, through a ring that is smaller", &err);
    be->release(be, one);
    be->release(be, seen);
}

/* ---- weights -------------------------------------------------------------------------------------------------- */

static void test_weights(dd_backend *be)
{
    enum { ROWS = 3 };
    const size_t k = SLOT / sizeof(float) + 8, n = ROWS * k;
    float *w = malloc(n * sizeof *w), *back = malloc(n * sizeof *back);
    dd_weight_desc desc = {.name = "test.w", .data = w, .dtype = DD_F32, .n = ROWS, .k = (int64_t)k, .n_unit = ROWS};
    dd_err err = {0};
    dd_packed *packed = NULL;
    void *storage = NULL;
    if (!w || !back) exit(2);
    for (size_t i = 0; i < n; i++) w[i] = (float)(i % 1013) * 0.25f;
    bool ok = be->alloc(be, be->packed_bytes(be, &desc), &storage, &err) == DD_OK &&
              be->pack(be, &desc, storage, &packed, &err) == DD_OK && packed &&
              be->download(be, back, storage, n * sizeof *back, &err) == DD_OK;
    verdict(ok && memcmp(w, back, n * sizeof *w) == 0, "a weight whose rows are longer than the staging memory", &err);
    be->release(be, storage);
    w[n - 1] = 1.0f / 0.0f;
    ok = be->alloc(be, be->packed_bytes(be, &desc), &storage, &err) == DD_OK;
    ok = ok && be->pack(be, &desc, storage, &packed, &err) == DD_ERR_FORMAT;
    verdict(ok && says(&err, DD_ERR_FORMAT, "tensor test.w holds a value that is not finite"), "infinity in a weight",
            &err);
    dd_err_clear(&err);
    w[n - 1] = 0;
    ok = be->pack(be, &desc, storage, &packed, &err) == DD_OK;
    verdict(ok, "the next weight is none the worse", &err);
    be->release(be, storage);
    desc.dtype = DD_I64;
    ok = be->packed_bytes(be, &desc) == 0 && be->alloc(be, 0, &storage, &err) == DD_OK &&
         be->pack(be, &desc, storage, &packed, &err) == DD_ERR_UNSUPPORTED &&
         says(&err, DD_ERR_UNSUPPORTED, "test.w [3,");
    verdict(ok, "a weight of integers is refused", &err);
    be->release(be, storage);
    free(w);
    free(back);
}

/* ---- errors --------------------------------------------------------------------------------------------------- */

static void test_memory(dd_backend *be)
{
    dd_err err = {0};
    void *p = NULL;
    uint64_t before = 0, after = 0;
    bool ok = be->alloc(be, (size_t)1 << 50, &p, &err) == DD_ERR_NOMEM && !p;
    verdict(ok && says(&err, DD_ERR_NOMEM, "out of device memory: 1.1259e+09 MB more are needed, "), "out of memory",
            &err);
    dd_err_clear(&err);
    ok = be->memory_free(be, &before, &err) == DD_OK && be->alloc(be, 1000000, &p, &err) == DD_OK &&
         be->memory_free(be, &after, &err) == DD_OK;
    verdict(ok && before - after == 1000000, "which changes nothing", &err);
    be->release(be, p);
}

/* A kernel that follows a pointer of the host: found when the device is waited for, and from then on. */
static void test_lost(void)
{
    dd_backend *be = opened();
    dd_err err = {0}, later = {0};
    float value = 1;
    void *p = NULL;
    dd_op op;
    bool ok = be->alloc(be, sizeof value, &p, &err) == DD_OK;
    dd_guide_args guide = {.out = &value, .scale = 2, .b = 1, .co = 1, .channels = 1, .size = 1};
    op = (dd_op){.id = DD_OP_guide, .site = -1, .label = "test.guide"};
    op.args.guide = guide;
    const dd_program program = {.ops = &op, .n_ops = 1};
    ok = ok && be->run(be, &program, 0, &err) == DD_OK && be->sync(be, &err) == DD_ERR_DEVICE;
    verdict(ok && says(&err, DD_ERR_DEVICE, "failed on emulated sm_") && strstr(err.text, "illegal memory access"),
            "an illegal access is reported by the wait", &err);
    void *none = NULL;
    ok = be->alloc(be, 4, &none, &later) == DD_ERR_DEVICE && !none && strcmp(err.text, later.text) == 0;
    dd_err_clear(&later);
    ok = ok && be->upload(be, p, &value, 4, &later) == DD_ERR_DEVICE && strcmp(err.text, later.text) == 0;
    dd_err_clear(&later);
    ok = ok && be->run(be, &program, 0, &later) == DD_ERR_DEVICE && strcmp(err.text, later.text) == 0;
    dd_err_clear(&later);
    ok = ok && be->pace(be, 1, &later) == DD_ERR_DEVICE && strcmp(err.text, later.text) == 0;
    verdict(ok, "every later call says the same", &later);
    be->release(be, p);
    dd_backend_close(&be);
    be = opened();
    verdict(be != NULL, "a new context works in the same process", NULL);
    test_transfers(be);
    dd_backend_close(&be);
}

/* An op whose arguments are refused leaves the device as it was. */
static void test_refused(dd_backend *be)
{
    dd_err err = {0};
    dd_op op;
    const dd_program program = copy_of(&op, NULL, NULL);
    op.id = DD_OP_guide;
    op.args.guide = (dd_guide_args){0};
    bool ok = be->run(be, &program, 0, &err) == DD_ERR_INTERNAL;
    verdict(ok && says(&err, DD_ERR_INTERNAL, "op test.copy (guide) refused its arguments on backend emu"),
            "an op that refuses is named", &err);
    dd_err_clear(&err);
    verdict(be->sync(be, &err) == DD_OK, "and the device goes on", &err);
}

/* Each way to wait fails here: what waits shows. */
static void test_waits(void)
{
    dd_backend *be = opened();
    dd_err err = {0};
    void *a = NULL, *b = NULL;
    dd_op op;
    bool ok = be->alloc(be, 4096, &a, &err) == DD_OK && be->alloc(be, 4096, &b, &err) == DD_OK;
    const dd_program program = copy_of(&op, a, b);
    unsigned char bytes[4096] = {0};
    for (int i = 0; i < 1000 && ok; i++) ok = be->upload(be, b, bytes, sizeof bytes, &err) == DD_OK;
    for (int i = 0; i < 10 && ok; i++) ok = be->run(be, &program, i, &err) == DD_OK;
    ok = ok && be->clear(be, a, 4096, &err) == DD_OK;
    verdict(ok, "uploads, clearing and running wait for nothing", &err);
    ok = be->pace(be, 2, &err) == DD_OK && be->pace(be, 2, &err) == DD_OK;
    verdict(ok, "two steps may be in flight", &err);
    ok = be->pace(be, 2, &err) == DD_ERR_DEVICE && says(&err, DD_ERR_DEVICE, "cudaEventSynchronize failed");
    verdict(ok, "the third waits", &err);
    dd_err_clear(&err);
    ok = be->pace(be, 100, &err) == DD_OK;
    verdict(ok, "an error that passes is forgotten", &err);
    ok = be->sync(be, &err) == DD_ERR_DEVICE && says(&err, DD_ERR_DEVICE, "cudaStreamSynchronize failed");
    verdict(ok, "sync waits", &err);
    be->release(be, a);
    be->release(be, b);
    dd_backend_close(&be);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "waits") == 0) {
        test_waits();
        return n_failed != 0;
    }
    test_contract();
    dd_backend *be = opened();
    test_transfers(be);
    test_order(be);
    test_weights(be);
    test_memory(be);
    test_refused(be);
    dd_backend_close(&be);
    test_lost();
    return n_failed != 0;
}

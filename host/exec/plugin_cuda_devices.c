/* SPDX-License-Identifier: MIT
 * The devices of this machine, and which of them this build has code for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/exec/plugin_cuda.h"
#include "kernels/cuda/cuda.h"

/* DD_CUDA_ARCHS holds words: "90" is machine code of sm_90, "ptx80" is PTX of compute_80. */
#define PTX "ptx"

static bool take_word(const char **at, bool *ptx, int *arch)
{
    *at += strspn(*at, " ");
    *ptx = strncmp(*at, PTX, strlen(PTX)) == 0;
    char *end;
    *arch = (int)strtol(*at + (*ptx ? strlen(PTX) : 0), &end, 10);
    *at = end;
    return *arch > 0;
}

static void list_built(char *text, size_t size)
{
    const char *at = DD_CUDA_ARCHS;
    bool ptx;
    int arch;
    size_t n = 0;
    text[0] = 0;
    while (take_word(&at, &ptx, &arch) && n < size)
        n += (size_t)snprintf(text + n, size - n, "%s%s%d%s", n ? ", " : "", ptx ? "compute_" : "sm_", arch,
                              ptx ? " as PTX" : "");
}

/* Machine code runs on later devices of the same major version, PTX on every later one. */
static bool built_for(int major, int minor)
{
    const char *at = DD_CUDA_ARCHS;
    const int device = 10 * major + minor;
    bool ptx;
    int arch;
    while (take_word(&at, &ptx, &arch))
        if (arch <= device && (ptx || arch / 10 == major)) return true;
    return false;
}

static void version_text(char text[32], int version)
{
    snprintf(text, 32, "%d.%d", version / 1000, version % 1000 / 10);
}

static dd_status no_devices(const dd_cuda *c, cudaError_t e, dd_err *err)
{
    const dd_device_list *l = &c->devices;
    (void)cudaGetLastError();
    if (e == cudaErrorInsufficientDriver && strcmp(l->driver, "0.0") == 0)
        return DD_FAIL(err, DD_ERR_DEVICE, "no NVIDIA driver");
    if (e == cudaErrorInsufficientDriver)
        return DD_FAIL(err, DD_ERR_DEVICE, "the NVIDIA driver supports CUDA %s, this build needs %s", l->driver,
                       l->runtime);
    if (e == cudaErrorNoDevice || e == cudaSuccess) return DD_FAIL(err, DD_ERR_DEVICE, "no NVIDIA device");
    return DD_FAIL(err, DD_ERR_DEVICE, "the NVIDIA driver cannot be used: %s", cudaGetErrorString(e));
}

static dd_status describe(dd_cuda *c, dd_device *d, dd_err *err)
{
    struct cudaDeviceProp p;
    DD_CUDA_TRY(c, err, cudaGetDeviceProperties, &p, d->index);
    snprintf(d->name, sizeof d->name, "%.*s", (int)sizeof d->name - 1, p.name);
    d->major = p.major;
    d->minor = p.minor;
    d->sms = p.multiProcessorCount;
    d->threads_per_sm = p.maxThreadsPerMultiProcessor;
    d->memory = p.totalGlobalMem;
    d->has_code = built_for(p.major, p.minor);
    return DD_OK;
}

dd_status dd_cuda_list_devices(dd_cuda *c, dd_err *err)
{
    dd_device_list *l = &c->devices;
    int driver = 0, runtime = 0;
    snprintf(c->detail, sizeof c->detail, "the devices");
    l->opened = -1;
    list_built(l->built, sizeof l->built);
    DD_CUDA_TRY(c, err, cudaDriverGetVersion, &driver);
    DD_CUDA_TRY(c, err, cudaRuntimeGetVersion, &runtime);
    version_text(l->driver, driver);
    version_text(l->runtime, runtime);
    const cudaError_t e = cudaGetDeviceCount(&l->n);
    if (e != cudaSuccess || l->n <= 0) return no_devices(c, e, err);
    if (l->n > DD_MAX_DEVICES) l->n = DD_MAX_DEVICES;
    for (int i = 0; i < l->n; i++) {
        l->device[i].index = i;
        DD_TRY(describe(c, &l->device[i], err));
    }
    return DD_OK;
}

dd_status dd_cuda_select_device(dd_cuda *c, int index, dd_err *err)
{
    dd_device_list *l = &c->devices;
    if (index < 0 || index >= l->n)
        return DD_FAIL(err, DD_ERR_ARG, "device %d is not there: this machine has %d, counted from 0", index, l->n);
    dd_device *d = &l->device[index];
    if (strcmp(DD_PLUGIN_NAME, "emu") == 0) snprintf(c->detail, sizeof c->detail, "%s", d->name);
    else snprintf(c->detail, sizeof c->detail, "%s, sm_%d%d, device %d", d->name, d->major, d->minor, index);
    DD_CUDA_TRY(c, err, cudaSetDevice, index);
    const dd_status st = dd_cuda_has_code(); /* the driver knows better than our list */
    d->has_code = st == DD_OK;
    if (st == DD_ERR_DEVICE) return dd_cuda_check(c, cudaGetLastError(), "cudaFuncGetAttributes", err);
    if (st != DD_OK)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s has compute capability %d.%d, which this build has no code for: %s",
                       d->name, d->major, d->minor, l->built);
    size_t available, total;
    DD_CUDA_TRY(c, err, cudaMemGetInfo, &available, &total);
    d->memory_free = available;
    l->opened = index;
    return DD_OK;
}

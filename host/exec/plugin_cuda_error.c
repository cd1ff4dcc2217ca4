/* SPDX-License-Identifier: MIT
 * Errors of CUDA calls. Some end the device's context: then every later call fails with the first sentence. */
#include "host/exec/plugin_cuda.h"

dd_status dd_cuda_enter(dd_cuda *c, dd_err *err)
{
    if (c->lost.status != DD_OK) return dd_err_set(err, c->lost.status, c->lost.file, c->lost.line, "%s", c->lost.text);
    DD_CUDA_TRY(c, err, cudaSetDevice, c->devices.opened);
    return DD_OK;
}

/* An error that ended the context comes back from every call. A stream that is captured may not be asked: what is lost
 * shows when the capture has ended. */
static bool comes_back(dd_cuda *c)
{
    enum cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    if (!c->stream) return false;
    cudaError_t e = cudaStreamIsCapturing(c->stream, &capture);
    if (e == cudaSuccess && capture != cudaStreamCaptureStatusNone) return false;
    if (e == cudaSuccess) e = cudaStreamQuery(c->stream);
    (void)cudaGetLastError();
    return e != cudaSuccess && e != cudaErrorNotReady;
}

dd_status dd_cuda_check(dd_cuda *c, cudaError_t e, const char *what, dd_err *err)
{
    if (e == cudaSuccess) return DD_OK;
    const dd_status st = e == cudaErrorMemoryAllocation ? DD_ERR_NOMEM : DD_ERR_DEVICE;
    dd_err why = {0};
    (void)cudaGetLastError();
    (void)DD_FAIL(&why, st, "%s failed on %s: %s", what, c->detail, cudaGetErrorString(e));
    if (c->lost.status == DD_OK && comes_back(c)) c->lost = why;
    return dd_err_set(err, st, why.file, why.line, "%s", why.text);
}

/* SPDX-License-Identifier: MIT
 * Transfers go through pinned memory, the only kind that copies run beside the host. Uploads fill a slot one behind the
 * other and go on in the next one when it is full; only a slot whose copies are still under way is waited for. So the
 * small uploads of a step do not wait for the step before. */
#include <string.h>

#include "host/base/sizes.h"
#include "host/exec/plugin_cuda.h"

#define PIECE 64 /* uploads begin at multiples: cache lines are not shared */

_Static_assert(DD_CUDA_SLOT_BYTES % PIECE == 0, "a slot is whole pieces");

dd_status dd_cuda_staging_open(dd_cuda *c, dd_err *err)
{
    for (int i = 0; i < DD_CUDA_SLOTS; i++) {
        void *p = NULL;
        DD_CUDA_TRY(c, err, cudaHostAlloc, &p, DD_CUDA_SLOT_BYTES, cudaHostAllocDefault);
        c->slots[i].base = p;
        DD_CUDA_TRY(c, err, cudaEventCreateWithFlags, &c->slots[i].left,
                    cudaEventDisableTiming | cudaEventBlockingSync);
    }
    return DD_OK;
}

void dd_cuda_staging_close(dd_cuda *c)
{
    for (int i = 0; i < DD_CUDA_SLOTS; i++) {
        dd_cuda_slot *s = &c->slots[i];
        if (s->base) (void)dd_cuda_check(c, cudaFreeHost(s->base), "cudaFreeHost", NULL);
        if (s->left) (void)dd_cuda_check(c, cudaEventDestroy(s->left), "cudaEventDestroy", NULL);
    }
}

static dd_status next_slot(dd_cuda *c, dd_err *err)
{
    const int next = (c->slot + 1) % DD_CUDA_SLOTS;
    dd_cuda_slot *full = &c->slots[c->slot], *s = &c->slots[next];
    DD_CUDA_TRY(c, err, cudaEventRecord, full->left, c->stream);
    full->in_flight = true;
    if (s->in_flight) DD_CUDA_TRY(c, err, cudaEventSynchronize, s->left);
    s->in_flight = false;
    c->slot = next;
    c->used = 0;
    return DD_OK;
}

/* Room for some of the bytes wanted, at least one. */
static dd_status take(dd_cuda *c, size_t want, unsigned char **p, size_t *n, dd_err *err)
{
    if (c->used == DD_CUDA_SLOT_BYTES) DD_TRY(next_slot(c, err));
    const size_t room = DD_CUDA_SLOT_BYTES - c->used;
    size_t rounded;
    *n = want < room ? want : room;
    *p = c->slots[c->slot].base + c->used;
    if (!dd_align_size(*n, PIECE, &rounded)) rounded = room;
    c->used += rounded;
    return DD_OK;
}

dd_status dd_cuda_upload(dd_backend *be, void *dst, const void *src, size_t bytes, dd_err *err)
{
    dd_cuda *c = dd_cuda_of(be);
    DD_TRY(dd_cuda_enter(c, err));
    for (size_t done = 0, n; done < bytes; done += n) {
        unsigned char *p;
        DD_TRY(take(c, bytes - done, &p, &n, err));
        memcpy(p, (const unsigned char *)src + done, n);
        DD_CUDA_TRY(c, err, cudaMemcpyAsync, (unsigned char *)dst + done, p, n, cudaMemcpyHostToDevice, c->stream);
    }
    return DD_OK;
}

dd_status dd_cuda_download(dd_backend *be, void *dst, const void *src, size_t bytes, dd_err *err)
{
    dd_cuda *c = dd_cuda_of(be);
    DD_TRY(dd_cuda_enter(c, err));
    for (size_t done = 0, n; done < bytes; done += n) {
        unsigned char *p;
        DD_TRY(take(c, bytes - done, &p, &n, err));
        DD_CUDA_TRY(c, err, cudaMemcpyAsync, p, (const unsigned char *)src + done, n, cudaMemcpyDeviceToHost,
                    c->stream);
        DD_TRY(dd_cuda_wait(c, err));
        memcpy((unsigned char *)dst + done, p, n);
    }
    return DD_OK;
}

dd_status dd_cuda_wait(dd_cuda *c, dd_err *err)
{
    DD_CUDA_TRY(c, err, cudaStreamSynchronize, c->stream);
    for (int i = 0; i < DD_CUDA_SLOTS; i++) c->slots[i].in_flight = false;
    c->used = 0;
    return DD_OK;
}

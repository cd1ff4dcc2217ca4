/* SPDX-License-Identifier: MIT
 * Is there enough memory for what is about to run? Asked before anything is allocated; and after an allocation failed all
 * the same, which batch would fit. */
#include <stdio.h>

#include "host/api_internal.h"

static dd_status needed(const dd_need *n, dd_memory_place where, int batch, uint64_t *out, dd_err *err)
{
    uint64_t all = 0, device = 0;
    DD_TRY(n->measure(n->run, batch, &all, &device, err));
    *out = where == DD_MEM_DEVICE ? device : all;
    return DD_OK;
}

dd_status dd_memory_largest_batch(const dd_need *n, dd_memory_place where, uint64_t limit, int *out, dd_err *err)
{
    int lo = 0, hi = 1;
    uint64_t bytes;
    for (;;) {
        DD_TRY(needed(n, where, hi, &bytes, err));
        if (bytes > limit || hi >= 65536) break;
        lo = hi;
        hi *= 2;
    }
    if (bytes <= limit) lo = hi;
    while (hi - lo > 1) {
        const int mid = lo + (hi - lo) / 2;
        DD_TRY(needed(n, where, mid, &bytes, err));
        if (bytes <= limit) lo = mid;
        else hi = mid;
    }
    *out = lo;
    return DD_OK;
}

#define FIT_TEXT 48

static const char *fit_text(char text[FIT_TEXT], int batch)
{
    if (batch < 1) snprintf(text, FIT_TEXT, "no batch size would fit");
    else snprintf(text, FIT_TEXT, "%d image%s would fit", batch, batch == 1 ? "" : "s");
    return text;
}

static double gb(uint64_t bytes) { return (double)bytes / 1e9; }

dd_status dd_memory_check(const dd_need *n, dd_err *err)
{
    dd_backend *be = n->be;
    char fits[FIT_TEXT];
    uint64_t all, device, free_bytes;
    int fit;
    if (!n->limit && !be->memory_free) return DD_OK;
    DD_TRY(n->measure(n->run, n->batch, &all, &device, err));
    if (n->limit && all > n->limit) {
        DD_TRY(dd_memory_largest_batch(n, DD_MEM_ALL, n->limit, &fit, err));
        return DD_FAIL(err, DD_ERR_NOMEM, "batches of %d images need %.3g GB, more than the limit of %.3g GB; %s",
                       n->batch, gb(all), gb(n->limit), fit_text(fits, fit));
    }
    if (!be->memory_free) return DD_OK;
    DD_TRY(be->memory_free(be, &free_bytes, err));
    if (device <= free_bytes) return DD_OK;
    DD_TRY(dd_memory_largest_batch(n, DD_MEM_DEVICE, free_bytes, &fit, err));
    return DD_FAIL(err, DD_ERR_NOMEM,
                   "batches of %d images need %.3g GB on the device, %.3g GB are free: %.3g GB are missing; %s",
                   n->batch, gb(device), gb(free_bytes), gb(device - free_bytes), fit_text(fits, fit));
}

void dd_memory_say_what_fits(const dd_need *n, dd_err *err)
{
    dd_backend *be = n->be;
    const dd_err first = *err;
    char fits[FIT_TEXT];
    uint64_t free_bytes;
    int fit;
    if (first.status != DD_ERR_NOMEM || !be->memory_free) return;
    if (be->memory_free(be, &free_bytes, NULL) != DD_OK) return;
    if (dd_memory_largest_batch(n, DD_MEM_DEVICE, free_bytes, &fit, NULL) != DD_OK || fit >= n->batch) return;
    dd_err_clear(err);
    dd_err_set(err, first.status, first.file, first.line, "%.*s; %s", DD_ERR_TEXT - FIT_TEXT - 4, first.text,
               fit_text(fits, fit));
}

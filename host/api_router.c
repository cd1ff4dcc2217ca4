/* SPDX-License-Identifier: MIT
 * Public API: routers of Learning-to-Cache. */
#include <stdlib.h>

#include "host/api_internal.h"
#include "host/base/str.h"
#include "host/io/outfile.h"
#include "host/plan/router_table.h"

/* At the steps that ask the routers: even indices. kind: 0 attention, 1 MLP. */
static int kept(const dd_router_table *r, int kind)
{
    int n = 0;
    for (int i = 0; i < r->n_steps; i += 2)
        for (int s = kind; s < r->n_sites; s += 2) n += dd_router_keeps(r, i, s);
    return n;
}

static dd_status convert(const dd_router_table *r, const char *out, char **text, dd_err *err)
{
    char *json = NULL;
    DD_TRY(dd_router_to_json(r, &json, err));
    const dd_status st = dd_outfile_text(out, json, err);
    free(json);
    if (st != DD_OK || !text) return st;
    const int asked = (r->n_steps + 1) / 2 * (r->n_sites / 2);
    dd_str s = {0};
    dd_str_addf(&s,
                "wrote  %s, routers of %d steps and %d blocks\nkept   at threshold %g: %d of %d attention branches, "
                "%d of %d MLPs at even steps\n",
                out, r->n_steps, r->n_sites / 2, r->threshold, kept(r, 0), asked, kept(r, 1), asked);
    return dd_str_take(&s, text, err);
}

dydit_status dydit_convert_router(dydit_ctx *ctx, const char *in, const char *out, const double *threshold, char **text)
{
    dd_router_table r;
    if (!ctx || !in || !out) return DYDIT_ERR_ARG;
    dd_api_begin(ctx);
    if (text) *text = NULL;
    if (threshold && !(*threshold >= -1e6 && *threshold <= 1e6))
        return (dydit_status)DD_FAIL(&ctx->err, DD_ERR_ARG, "threshold %g is no number from -1e6 to 1e6", *threshold);
    dd_status st = dd_router_read(&r, in, &ctx->err);
    if (st == DD_OK) {
        if (threshold) r.threshold = *threshold;
        st = convert(&r, out, text, &ctx->err);
    }
    dd_router_fini(&r);
    return (dydit_status)st;
}

/* SPDX-License-Identifier: MIT */
#include "cli/vae.h"

#include "cli/term.h"

int cli_vae_check(const cli_vae *v, const cli_args *args)
{
    static const char *const flags[] = {"vae-batch", "vae-engine", "vae-tiling", "vae-tile-size", "vae-tile-overlap"};
    for (size_t i = 0; !v->path && i < sizeof flags / sizeof flags[0]; i++) {
        if (cli_given(args, flags[i])) return cli_fail(CLI_USAGE, "--%s needs --vae FILE", flags[i]);
    }
    return CLI_OK;
}

void cli_vae_options(const cli_vae *v, uint64_t max_mem, dydit_decode_options *o)
{
    dydit_decode_options_init(o, sizeof *o);
    o->batch_size = v->batch;
    o->tiling = v->tiling ? DYDIT_TILING_ON : DYDIT_TILING_AUTO;
    o->tile_size = v->tile_size;
    o->tile_overlap = v->tile_overlap;
    o->max_mem = max_mem;
}

/* SPDX-License-Identifier: MIT
 * Takes T:FILE apart and opens FILE. */
#include "cli/switch.h"

#include <stdlib.h>
#include <string.h>

#define LAST_TIMESTEP 1000

int cli_switch_parse(cli_switch *s)
{
    if (!s->text) return CLI_OK;
    const size_t digits = strspn(s->text, "0123456789");
    if (digits == 0 || digits > 4 || s->text[digits] != ':' || !s->text[digits + 1]) {
        return cli_fail(CLI_USAGE, "--switch '%.80s' is not T:FILE, a timestep and a checkpoint", s->text);
    }
    s->timestep = atoi(s->text);
    s->path = s->text + digits + 1;
    if (s->timestep > LAST_TIMESTEP) {
        return cli_fail(CLI_USAGE, "--switch %d: timesteps go from 0 to %d", s->timestep, LAST_TIMESTEP);
    }
    return CLI_OK;
}

int cli_switch_open(cli_switch *s, dydit_ctx *ctx)
{
    if (!s->path) return CLI_OK;
    const dydit_status st = dydit_model_open(ctx, &s->model, s->path, NULL);
    return st == DYDIT_OK ? CLI_OK : cli_fail_status(ctx, st);
}

void cli_switch_options(const cli_switch *s, dydit_sample_options *o)
{
    o->switch_model = s->model;
    o->switch_timestep = s->timestep;
}

void cli_switch_close(cli_switch *s) { dydit_model_close(&s->model); }

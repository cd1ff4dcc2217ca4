/* SPDX-License-Identifier: MIT
 * What the kinds of `dydit convert` share. */
#ifndef CLI_CONVERT_H
#define CLI_CONVERT_H

#include "cli/common.h"

typedef struct convert_args {
    cli_common common;
    const char *dtype, *layout;
    const char *steps; /* with common.ckpt: of the plan to write */
    double threshold;
} convert_args;

/* OUT.json: routers are converted, to JSON or, with a model, to a plan. */
bool convert_is_router(const cli_args *args);
/* CLI_OK, or CLI_USAGE naming a flag that belongs to the other kind. */
int convert_check(const cli_args *args);
int convert_router(convert_args *a, const cli_args *args);

#endif

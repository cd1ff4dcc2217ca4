/* SPDX-License-Identifier: MIT
 * Ctrl-C and SIGTERM: the first asks the run to stop at the next step, the second ends the process as usual. */
#ifndef CLI_STOP_H
#define CLI_STOP_H

#include <stdbool.h>

#include "dydit.h"

/* A signal that was ignored when the program started stays ignored. */
void cli_stop_watch(void);
/* The context to cancel; NULL: none. */
void cli_stop_context(dydit_ctx *ctx);
bool cli_stop_asked(void);

#endif

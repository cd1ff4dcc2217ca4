/* SPDX-License-Identifier: MIT
 * Shows how a run is getting on: a bar on a terminal, a line at every tenth elsewhere when asked, or nothing. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "dydit.h"

typedef enum cli_progress_mode { CLI_PROGRESS_NONE = 0, CLI_PROGRESS_PLAIN, CLI_PROGRESS_BAR } cli_progress_mode;

typedef struct cli_progress {
    cli_progress_mode mode;
    dydit_progress last; /* as of the last step; zero before the first */
    int64_t batch;       /* images sampled at a time */
    double drawn_at;     /* seconds, of the last bar */
    int tenth;           /* last printed by PLAIN */
    const char *word;    /* before the figures where it is not sampling; NULL: nothing */
} cli_progress;

/* mode: "bar", "plain", "none", or NULL for a bar on a terminal and nothing elsewhere. batch: 0 is the library's
 * default. */
void cli_progress_init(cli_progress *p, const char *mode, bool quiet, int batch);
/* From here on it is about something else, of batches of `batch`: starts from zero. */
void cli_progress_next(cli_progress *p, const char *word, int batch);
void cli_progress_step(cli_progress *p, const dydit_progress *now);
/* Leaves a clean line. */
void cli_progress_end(cli_progress *p);

/* Done share of the whole run, 0..1. */
double cli_progress_share(const cli_progress *p);

#endif

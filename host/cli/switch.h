/* SPDX-License-Identifier: MIT
 * --switch T:FILE of several commands: from the first step below timestep T on, FILE is the model. */
#ifndef CLI_SWITCH_H
#define CLI_SWITCH_H

#include "cli/common.h"

typedef struct cli_switch {
    const char *text; /* as given; NULL: no switch */
    const char *path; /* within it */
    int timestep;
    dydit_model *model;
} cli_switch;

/* Row of a flag table for a struct s_ that holds `cli_switch later`. */
#define CLI_SWITCH_ROW(s_)                                        \
    CLI_ROW(s_, TEXT, "switch", 0, later.text, "T:FILE", 0, 0, 0, \
            "FILE is the model from the first step below timestep T on,\nof any depth and width (docs/plan.md)")

/* 0, or an exit code after a message. */
int cli_switch_parse(cli_switch *s);
int cli_switch_open(cli_switch *s, dydit_ctx *ctx);
void cli_switch_options(const cli_switch *s, dydit_sample_options *o);
/* Before the context goes. */
void cli_switch_close(cli_switch *s);

#endif

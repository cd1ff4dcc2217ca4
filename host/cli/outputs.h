/* SPDX-License-Identifier: MIT
 * The files a command reads and writes, known before any work is done: none may stand in the way of another. */
#ifndef CLI_OUTPUTS_H
#define CLI_OUTPUTS_H

#include "dydit.h"

#define CLI_MAX_PATHS 16

typedef struct cli_path {
    const char *flag, *path;
} cli_path;

typedef struct cli_outputs {
    cli_path in[CLI_MAX_PATHS], out[CLI_MAX_PATHS];
    int n_in, n_out;
    char policy_file[4096];
} cli_outputs;

/* path NULL: nothing is added. */
void cli_outputs_in(cli_outputs *o, const char *flag, const char *path);
/* The file that a policy reads, if it does: "l2c:router=FILE". */
void cli_outputs_in_policy(cli_outputs *o, const char *policy);
void cli_outputs_out(cli_outputs *o, const char *flag, const char *path);

/* Every output differs from every other file and could be written. 0, or an exit code after a message. */
int cli_outputs_check(const cli_outputs *o, dydit_ctx *ctx);

/* A folder for outputs, made with its parents; remembers what was new, so that it can be taken back. */
typedef struct cli_folder {
    const char *path;
    size_t first_new; /* length of the shortest part of path that did not exist; 0: all of it did */
} cli_folder;

int cli_folder_make(cli_folder *f, const char *path);
/* Removes the folders that were made, as far as they are empty. */
void cli_folder_undo(const cli_folder *f);

#endif

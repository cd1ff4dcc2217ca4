/* SPDX-License-Identifier: MIT
 * What the commands say and to whom: results on stdout, errors and notes on stderr, one sentence each; exit codes. */
#ifndef CLI_TERM_H
#define CLI_TERM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "dydit.h"

#if defined(__GNUC__)
#define CLI_PRINTF(fmt_, first_) __attribute__((format(printf, fmt_, first_)))
#else
#define CLI_PRINTF(fmt_, first_)
#endif

enum { CLI_OK = 0, CLI_USAGE = 2, CLI_INPUT = 3, CLI_SYSTEM = 4, CLI_SLOWER = 5, CLI_STOPPED = 130 };

/* Prints "dydit: <sentence>" on stderr, on one line whatever the text holds, and returns code. */
int cli_fail(int code, const char *fmt, ...) CLI_PRINTF(2, 3);

/* The same for a failed library call: the context's sentence and the exit code of its status. */
int cli_fail_status(const dydit_ctx *ctx, dydit_status status);
int cli_exit_code(dydit_status status);

/* A line on stderr that is no error: "dydit: <text>". */
void cli_note(const char *fmt, ...) CLI_PRINTF(1, 2);

/* Text for people on stdout; control characters that came from a file are replaced. */
void cli_out(const char *text);
void cli_outf(const char *fmt, ...) CLI_PRINTF(1, 2);

/* Makes sure that descriptors 0 to 2 are open, so that no output file becomes one of them. */
void cli_stdio_open(void);
/* Flushes stdout. rc, or CLI_SYSTEM with a message where something printed did not arrive. */
int cli_stdio_close(int rc);

/* The one-line bar: drawn over itself, and out of the way before anything else is printed on stderr. */
void cli_bar_draw(const char *text);
void cli_bar_clear(void);

bool cli_stderr_is_terminal(void);
int cli_stderr_columns(void);

/* "3.2 GiB" into buf, and "1.25 G" for counts. */
const char *cli_bytes_text(uint64_t bytes, char *buf, size_t size);
const char *cli_count_text(double count, char *buf, size_t size);

#endif

/* SPDX-License-Identifier: MIT
 * Formats a line and hands it to the context's callback. */
#include "host/base/log.h"

#include <stdarg.h>
#include <stdio.h>

#define MAX_LINE 2048 /* longer lines are cut: logging must not allocate inside the step loop */

void dd_log_write(const dd_log *log, dd_log_level level, const char *fmt, ...)
{
    if (!log || !log->fn) return;
    char line[MAX_LINE];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n >= 0) log->fn(log->user, (int)level, line);
}

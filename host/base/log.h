/* SPDX-License-Identifier: MIT
 * Log sink of a context: a callback chosen by the caller of the public API. The library prints nothing on its own. */
#ifndef DD_HOST_BASE_LOG_H
#define DD_HOST_BASE_LOG_H

typedef enum dd_log_level { DD_LOG_WARN = 0, DD_LOG_INFO = 1, DD_LOG_DEBUG = 2 } dd_log_level;

typedef struct dd_log {
    void (*fn)(void *user, int level, const char *text); /* NULL: silent */
    void *user;
} dd_log;

void dd_log_write(const dd_log *log, dd_log_level level, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

#endif

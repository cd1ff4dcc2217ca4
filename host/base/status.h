/* SPDX-License-Identifier: MIT
 * Errors: a status plus one sentence, recorded once at the origin. The record belongs to the caller; nothing is
 * global. */
#ifndef DD_HOST_BASE_STATUS_H
#define DD_HOST_BASE_STATUS_H

#include "kernels/status.h"

#define DD_ERR_TEXT 1024

typedef struct dd_err {
    dd_status status;
    const char *file; /* origin */
    int line;
    char text[DD_ERR_TEXT]; /* one sentence: names the file, tensor, field or flag */
} dd_err;

/* Records the first error only and returns code. err may be NULL. */
dd_status dd_err_set(dd_err *err, dd_status code, const char *file, int line, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 5, 6)))
#endif
    ;

void dd_err_clear(dd_err *err);

const char *dd_status_name(dd_status st); /* "ERR_ARG" */
const char *dd_status_text(dd_status st); /* "invalid argument" */

/* return DD_FAIL(err, DD_ERR_ARG, "…", …); */
#define DD_FAIL(err, code, ...) dd_err_set((err), (code), __FILE__, __LINE__, __VA_ARGS__)

#define DD_TRY(expr)                  \
    do {                              \
        const dd_status st_ = (expr); \
        if (st_ != DD_OK) return st_; \
    } while (0)

#define DD_TRY_GOTO(st, expr, label)   \
    do {                               \
        (st) = (expr);                 \
        if ((st) != DD_OK) goto label; \
    } while (0)

#endif

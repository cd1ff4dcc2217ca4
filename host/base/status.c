/* SPDX-License-Identifier: MIT
 * Status names and the error record. */
#include "host/base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Sentences quote names out of untrusted files: no control character (C0, DEL, or C1 in UTF-8) may reach a terminal. */
static void make_printable(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7f) *p = '?';
        if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f) p[0] = p[1] = '?';
    }
}

/* A cut in the middle of a UTF-8 sequence would make the whole sentence invalid for JSON reports. */
static void mark_truncated(char *text, size_t size)
{
    size_t end = size - 4;
    while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80) end--;
    memcpy(text + end, "...", 4);
}

dd_status dd_err_set(dd_err *err, dd_status code, const char *file, int line, const char *fmt, ...)
{
    if (!err || err->status != DD_OK) return code;
    err->status = code;
    err->file = file;
    err->line = line;
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    if (n < 0) snprintf(err->text, sizeof err->text, "%s", dd_status_text(code));
    else if ((size_t)n >= sizeof err->text) mark_truncated(err->text, sizeof err->text);
    make_printable(err->text);
    return code;
}

void dd_err_clear(dd_err *err)
{
    if (err) memset(err, 0, sizeof *err);
}

const char *dd_status_name(dd_status st)
{
    switch (st) {
#define DD_STATUS_NAME(name, value, text) \
    case DD_##name: return #name;
        DD_STATUS_LIST(DD_STATUS_NAME)
#undef DD_STATUS_NAME
    }
    return "ERR_UNKNOWN";
}

const char *dd_status_text(dd_status st)
{
    switch (st) {
#define DD_STATUS_TEXT(name, value, text) \
    case DD_##name: return text;
        DD_STATUS_LIST(DD_STATUS_TEXT)
#undef DD_STATUS_TEXT
    }
    return "unknown status";
}

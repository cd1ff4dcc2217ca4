/* SPDX-License-Identifier: MIT
 * Growing text buffer for reports, and the hash that names plans. */
#ifndef DD_HOST_BASE_STR_H
#define DD_HOST_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"

/* Zero-initialise; after the first failed allocation further calls do nothing and dd_str_take reports ERR_NOMEM. */
typedef struct dd_str {
    char *data; /* NUL-terminated, or NULL while empty */
    size_t len, cap;
    int failed;
} dd_str;

void dd_str_addf(dd_str *s, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
void dd_str_add(dd_str *s, const char *text);
/* Escaped for XML text and attributes. */
void dd_str_add_xml(dd_str *s, const char *text);
/* Hands the text over; the caller frees it. The buffer is empty afterwards. */
dd_status dd_str_take(dd_str *s, char **out, dd_err *err);
void dd_str_free(dd_str *s);

/* Strict: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool dd_utf8_valid(const char *text);

/* FNV-1a, 64 bits. Start from DD_HASH_INIT. */
#define DD_HASH_INIT 0xcbf29ce484222325u
uint64_t dd_hash(uint64_t h, const void *data, size_t n);

/* Edit distance (insert, delete, replace, case ignored), for "did you mean" lists. Strings over 64 characters: 64. */
int dd_edit_distance(const char *a, const char *b);

#endif

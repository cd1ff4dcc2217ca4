/* SPDX-License-Identifier: MIT
 * Growing text buffer, FNV-1a and edit distance. */
#include "host/base/str.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/sizes.h"

#define MAX_WORD 64 /* edit distance: longer strings count as unrelated */

/* Makes room for `more` bytes and the NUL. */
static bool reserve(dd_str *s, size_t more)
{
    if (s->failed) return false;
    size_t need = 0;
    bool fits = dd_add_size(s->len, more, &need) && dd_add_size(need, 1, &need);
    if (fits && need <= s->cap) return true;
    size_t cap = 0;
    fits = fits && dd_add_size(s->cap, s->cap / 2, &cap);
    if (cap < need) cap = need;
    if (cap < 64) cap = 64;
    char *data = fits ? realloc(s->data, cap) : NULL;
    if (!data) {
        s->failed = 1;
        return false;
    }
    s->data = data;
    s->cap = cap;
    return true;
}

static void append(dd_str *s, const char *text, size_t n)
{
    if (!reserve(s, n)) return;
    memcpy(s->data + s->len, text, n);
    s->len += n;
    s->data[s->len] = '\0';
}

void dd_str_add(dd_str *s, const char *text) { append(s, text, strlen(text)); }

void dd_str_addf(dd_str *s, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        s->failed = 1;
    } else if (reserve(s, (size_t)n)) {
        vsnprintf(s->data + s->len, (size_t)n + 1, fmt, again);
        s->len += (size_t)n;
    }
    va_end(again);
}

/* The text that stands for c in XML, or NULL if c may stand for itself. Line ends are escaped because a parser turns
 * them into spaces inside attributes; the other control characters do not exist in XML 1.0. */
static const char *xml_escape(char c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    case '\t': return "&#9;";
    case '\n': return "&#10;";
    case '\r': return "&#13;";
    default: return (unsigned char)c < 0x20 ? "?" : NULL;
    }
}

void dd_str_add_xml(dd_str *s, const char *text)
{
    while (*text) {
        size_t plain = 0;
        while (text[plain] && !xml_escape(text[plain])) plain++;
        append(s, text, plain);
        text += plain;
        if (*text) dd_str_add(s, xml_escape(*text++));
    }
}

dd_status dd_str_take(dd_str *s, char **out, dd_err *err)
{
    *out = NULL;
    if (!reserve(s, 0)) {
        dd_str_free(s);
        return DD_FAIL(err, DD_ERR_NOMEM, "out of memory while building a text");
    }
    s->data[s->len] = '\0'; /* the buffer may never have been written to */
    *out = s->data;
    *s = (dd_str){0};
    return DD_OK;
}

void dd_str_free(dd_str *s)
{
    free(s->data);
    *s = (dd_str){0};
}

bool dd_utf8_valid(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    while (*p) {
        int extra = 0; /* bytes that follow */
        if ((*p & 0xe0) == 0xc0) extra = 1;
        if ((*p & 0xf0) == 0xe0) extra = 2;
        if ((*p & 0xf8) == 0xf0) extra = 3;
        if (*p >= 0x80 && !extra) return false;
        static const unsigned lead_mask[4] = {0x7f, 0x1f, 0x0f, 0x07};
        static const unsigned least[4] = {0, 0x80, 0x800, 0x10000};
        unsigned c = *p++ & lead_mask[extra];
        for (int i = 0; i < extra; i++, p++) {
            if ((*p & 0xc0) != 0x80) return false;
            c = c << 6 | (*p & 0x3fu);
        }
        if (c < least[extra] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return false;
    }
    return true;
}

uint64_t dd_hash(uint64_t h, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

/* ASCII only: the words compared are flags, keys and preset names, and the result must not depend on the locale. */
static int lower(char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; }

static int min_int(int a, int b) { return a < b ? a : b; }

int dd_edit_distance(const char *a, const char *b)
{
    const size_t na = strlen(a), nb = strlen(b);
    if (na > MAX_WORD || nb > MAX_WORD) return MAX_WORD;
    int row[MAX_WORD + 1]; /* row[j]: distance of the first i characters of a to the first j of b */
    for (size_t j = 0; j <= nb; j++) row[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            const int replace = diagonal + (lower(a[i - 1]) != lower(b[j - 1]));
            diagonal = row[j];
            row[j] = min_int(replace, 1 + min_int(row[j], row[j - 1]));
        }
    }
    return row[nb];
}

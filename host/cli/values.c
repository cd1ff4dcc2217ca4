/* SPDX-License-Identifier: MIT
 * Converts the text of one flag to its type, refusing whatever is not wholly a value in range. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"
#include "cli/term.h"

static int not_in_range(const cli_option *o, const char *text)
{
    return cli_fail(CLI_USAGE, "--%s: %s is not between %.15g and %.15g", o->name, text, o->lo, o->hi);
}

static bool starts_number(const char *text) { return text[0] && !isspace((unsigned char)text[0]); }

static int read_whole(const cli_option *o, const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    const long long v = strtoll(text, &end, 10);
    if (!starts_number(text) || end == text || *end) {
        return cli_fail(CLI_USAGE, "--%s: '%s' is not a whole number", o->name, text);
    }
    if (errno == ERANGE || (double)v < o->lo || (double)v > o->hi) return not_in_range(o, text);
    *out = v;
    return CLI_OK;
}

static int read_seed(const cli_option *o, const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    const unsigned long long v = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end || errno == ERANGE) {
        return cli_fail(CLI_USAGE, "--%s: '%s' is not a whole number from 0 to 18446744073709551615", o->name, text);
    }
    *out = v;
    return CLI_OK;
}

static int read_real(const cli_option *o, const char *text, double *out)
{
    char *end;
    const double v = strtod(text, &end);
    if (!starts_number(text) || end == text || *end || !isfinite(v)) {
        return cli_fail(CLI_USAGE, "--%s: '%s' is not a number", o->name, text);
    }
    if (v < o->lo || v > o->hi) return not_in_range(o, text);
    *out = v;
    return CLI_OK;
}

/* K, M, G, T and KiB, … are powers of 1024; KB, … of 1000. 0: unknown. */
static double unit_factor(const char *unit)
{
    static const char letters[] = "kmgt";
    if (unit[0] == 0 || strcmp(unit, "B") == 0 || strcmp(unit, "b") == 0) return 1.0;
    const char *at = strchr(letters, tolower((unsigned char)unit[0]));
    if (!at) return 0.0;
    const int power = (int)(at - letters) + 1;
    const char *rest = unit + 1;
    const bool binary = rest[0] == 0 ||
                        ((rest[0] == 'i' || rest[0] == 'I') && (rest[1] == 'B' || rest[1] == 'b') && !rest[2]);
    const bool decimal = (rest[0] == 'B' || rest[0] == 'b') && !rest[1];
    if (!binary && !decimal) return 0.0;
    return pow(binary ? 1024.0 : 1000.0, power);
}

static int read_bytes(const cli_option *o, const char *text, uint64_t *out)
{
    char *end;
    const double v = strtod(text, &end);
    const double factor = end == text ? 0.0 : unit_factor(end);
    if (!(isdigit((unsigned char)text[0]) || text[0] == '.') || factor == 0.0 || !isfinite(v)) {
        return cli_fail(CLI_USAGE, "--%s: '%s' is not a size such as 800000000, 512M or 1.5GiB", o->name, text);
    }
    if (v * factor < o->lo || v * factor > o->hi) {
        return cli_fail(CLI_USAGE, "--%s: %s is not between %.0f byte and 8 EiB", o->name, text, o->lo);
    }
    *out = (uint64_t)(v * factor);
    return CLI_OK;
}

static int read_choice(const cli_option *o, const char *text, const char **out)
{
    for (const char *p = o->value; *p;) {
        const size_t n = strcspn(p, "|");
        if (strlen(text) == n && strncmp(p, text, n) == 0) {
            *out = text;
            return CLI_OK;
        }
        p += n + (p[n] == '|');
    }
    return cli_fail(CLI_USAGE, "--%s: '%s' is not one of %s", o->name, text, o->value);
}

static int read_pair(const cli_option *o, const char *text, const char *second, int *out)
{
    char first[32];
    if (!second) {
        const char *comma = strchr(text, ',');
        if (!comma || (size_t)(comma - text) >= sizeof first) {
            return cli_fail(CLI_USAGE, "--%s: '%s' is not two values (%s)", o->name, text, o->value);
        }
        memcpy(first, text, (size_t)(comma - text));
        first[comma - text] = 0;
        text = first;
        second = comma + 1;
    }
    int64_t lo, hi;
    int rc = read_whole(o, text, &lo);
    if (rc == CLI_OK) rc = read_whole(o, second, &hi);
    if (rc != CLI_OK) return rc;
    if (lo > hi) return cli_fail(CLI_USAGE, "--%s: %s is greater than %s", o->name, text, second);
    out[0] = (int)lo;
    out[1] = (int)hi;
    return CLI_OK;
}

static int read_list(const cli_option *o, const char *text, cli_list *list)
{
    char part[64];
    for (const char *p = text;; p++) {
        const size_t n = strcspn(p, ",");
        int64_t whole = 0;
        if (n == 0) return cli_fail(CLI_USAGE, "--%s: '%s' has an empty part", o->name, text);
        if (n >= sizeof part || list->n == CLI_LIST_MAX) {
            return cli_fail(CLI_USAGE, "--%s: '%.60s' is more than %d values", o->name, text, CLI_LIST_MAX);
        }
        memcpy(part, p, n);
        part[n] = 0;
        double *v = &list->v[list->n];
        const int rc = o->type == CLI_INTS ? read_whole(o, part, &whole) : read_real(o, part, v);
        if (rc != CLI_OK) return rc;
        if (o->type == CLI_INTS) *v = (double)whole;
        list->n++;
        p += n;
        if (!*p) return CLI_OK;
    }
}

static int store_whole(const cli_option *o, const char *text, void *at)
{
    int64_t v;
    const int rc = read_whole(o, text, &v);
    if (rc != CLI_OK) return rc;
    if (o->type == CLI_INT) {
        *(int *)at = (int)v;
    } else {
        *(int64_t *)at = v;
    }
    return CLI_OK;
}

/* CLI_ONCE: a value that is there came from the same flag. */
static int store_text(const cli_option *o, const char *text, const char **at)
{
    if (!text[0]) return cli_fail(CLI_USAGE, "--%s: the value is empty", o->name);
    if (o->type == CLI_ONCE && *at) {
        return cli_fail(CLI_USAGE, "--%s %s and --%s %s exclude each other", o->name, *at, o->name, text);
    }
    *at = text;
    return CLI_OK;
}

int cli_value_store(const cli_option *o, const char *text, const char *second, void *target)
{
    void *at = (char *)target + o->offset;
    switch (o->type) {
    case CLI_FLAG: *(bool *)at = true; return CLI_OK;
    case CLI_COUNT: *(int *)at += 1; return CLI_OK;
    case CLI_TEXT:
    case CLI_ONCE: return store_text(o, text, at);
    case CLI_INT:
    case CLI_I64: return store_whole(o, text, at);
    case CLI_U64: return read_seed(o, text, at);
    case CLI_REAL: return read_real(o, text, at);
    case CLI_BYTES: return read_bytes(o, text, at);
    case CLI_CHOICE: return read_choice(o, text, at);
    case CLI_PAIR: return read_pair(o, text, second, at);
    case CLI_REALS:
    case CLI_INTS: return read_list(o, text, at);
    case CLI_GROUP:
    case CLI_ABSENT: break;
    }
    return CLI_USAGE;
}

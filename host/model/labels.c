/* SPDX-License-Identifier: MIT
 * Label lists. A name that contains '-' is tried whole before it is taken for a range; a range is cut where both ends
 * are known. */
#include "host/model/labels.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/str.h"

#define MAX_LABELS (1 << 24)

typedef struct list {
    int *at;
    int64_t n, cap;
} list;

static dd_status push(list *l, int label, dd_err *err)
{
    if (l->n == MAX_LABELS) return DD_FAIL(err, DD_ERR_ARG, "class labels: more than %d", MAX_LABELS);
    if (l->n == l->cap) {
        const int64_t cap = l->cap ? 2 * l->cap : 16;
        int *p = realloc(l->at, (size_t)cap * sizeof *p);
        if (!p) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for %lld labels", (long long)cap);
        l->at = p;
        l->cap = cap;
    }
    l->at[l->n++] = label;
    return DD_OK;
}

static int by_name(const dd_config *cfg, const char *name, size_t len)
{
    for (int i = 0; cfg->labels && i < cfg->num_classes; i++)
        if (strlen(cfg->labels[i]) == len && memcmp(cfg->labels[i], name, len) == 0) return i;
    return -1;
}

/* -1: not a number; -2: a number out of range */
static long by_number(const dd_config *cfg, const char *text, size_t len)
{
    long v = 0;
    if (len == 0) return -1;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') return -1;
        if (v < 100000000) v = v * 10 + (text[i] - '0');
    }
    return v < cfg->num_classes ? v : -2;
}

static dd_status unknown(const dd_config *cfg, const char *name, dd_err *err)
{
    if (!cfg->labels)
        return DD_FAIL(err, DD_ERR_ARG,
                       "class label '%s' is no number, and the model carries no names (labels are 0 to %d)", name,
                       cfg->num_classes - 1);
    char near[200] = "";
    size_t used = 0;
    for (int distance = 0; distance <= 2 && used == 0; distance++)
        for (int i = 0; i < cfg->num_classes; i++)
            if (used + strlen(cfg->labels[i]) + 3 < sizeof near && dd_edit_distance(name, cfg->labels[i]) == distance)
                used += (size_t)snprintf(near + used, sizeof near - used, "%s%s", used ? ", " : "", cfg->labels[i]);
    if (used) return DD_FAIL(err, DD_ERR_ARG, "class label '%s' is not known; near matches: %s", name, near);
    return DD_FAIL(err, DD_ERR_ARG, "class label '%s' is not known; the model has %d classes from %s to %s", name,
                   cfg->num_classes, cfg->labels[0], cfg->labels[cfg->num_classes - 1]);
}

/* One end of a range or a single label. */
static dd_status one(const dd_config *cfg, const char *text, size_t len, int *label, dd_err *err)
{
    const int named = by_name(cfg, text, len);
    const long number = by_number(cfg, text, len);
    if (named >= 0 || number >= 0) {
        *label = named >= 0 ? named : (int)number;
        return DD_OK;
    }
    char name[80];
    snprintf(name, sizeof name, "%.*s", (int)(len < 64 ? len : 64), text);
    if (number == -2)
        return DD_FAIL(err, DD_ERR_ARG, "class label %s is out of range: 0 to %d", name, cfg->num_classes - 1);
    return unknown(cfg, name, err);
}

static bool known(const dd_config *cfg, const char *text, size_t len)
{
    return by_name(cfg, text, len) >= 0 || by_number(cfg, text, len) >= 0;
}

/* The '-' of a range; NULL: a single label. */
static const char *find_dash(const dd_config *cfg, const char *text, size_t len)
{
    const char *first = NULL;
    if (by_name(cfg, text, len) >= 0) return NULL;
    for (size_t i = 1; i + 1 < len; i++) {
        if (text[i] != '-') continue;
        if (known(cfg, text, i) && known(cfg, text + i + 1, len - i - 1)) return text + i;
        if (!first) first = text + i;
    }
    return first;
}

static dd_status item(const dd_config *cfg, const char *text, size_t len, list *out, dd_err *err)
{
    int first, last;
    const char *dash = find_dash(cfg, text, len);
    if (!dash) {
        DD_TRY(one(cfg, text, len, &first, err));
        return push(out, first, err);
    }
    DD_TRY(one(cfg, text, (size_t)(dash - text), &first, err));
    DD_TRY(one(cfg, dash + 1, len - (size_t)(dash - text) - 1, &last, err));
    if (first > last)
        return DD_FAIL(err, DD_ERR_ARG, "class labels '%.*s': the range runs backwards", (int)(len < 64 ? len : 64),
                       text);
    for (int i = first; i <= last; i++) DD_TRY(push(out, i, err));
    return DD_OK;
}

dd_status dd_labels_parse(const dd_config *cfg, const char *spec, int **labels, int64_t *n, dd_err *err)
{
    list l = {0};
    dd_status st = DD_OK;
    *labels = NULL;
    for (const char *p = spec; st == DD_OK;) {
        size_t len = strcspn(p, ",");
        const char *next = p + len;
        while (len && p[0] == ' ') p++, len--;
        while (len && p[len - 1] == ' ') len--;
        if (len == 0) st = DD_FAIL(err, DD_ERR_ARG, "class labels '%.64s': an entry is empty", spec);
        else st = item(cfg, p, len, &l, err);
        if (!*next) break;
        p = next + 1;
    }
    if (st != DD_OK) {
        free(l.at);
        return st;
    }
    *labels = l.at;
    *n = l.n;
    return DD_OK;
}

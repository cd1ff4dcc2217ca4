/* SPDX-License-Identifier: MIT
 * The report for people: a few lines and a table, as plain text or as Markdown. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"

#define CELL 40

typedef struct column {
    const char *title, *path, *format;
    double factor;
} column;

/* A path that is nowhere leaves the cell empty. */
static const column columns[] = {
    {"batch", "batch", "%.0f", 1},
    {"s/image", "s_per_image", "%.4g", 1},
    {"s/step", "s_per_step", "%.4g", 1},
    {"images/s", "images_per_s", "%.4g", 1},
    {"spread", "spread", "%.1f %%", 100},
    {"MAC ratio", "mac_ratio", "%.2f", 1},
    {"speed-up", "speedup.median", "%.2f", 1},
    {"realised", "realised", "%.0f %%", 100},
    {"of peak", "share_of_peak", "%.0f %%", 100},
    {"widths", "widths", "%.0f %%", 100},
    {"tokens", "active.tokens", "%.0f %%", 100},
    {"memory", "peak_bytes", "%.0f MB", 1e-6},
};
enum { N_COLUMNS = sizeof columns / sizeof columns[0] };

/* Values that are computed from the document. */
static bool value(const json_t *c, const char *path, double *v)
{
    if (strcmp(path, "spread") == 0) {
        const double median = bench_number(c, "seconds.median");
        *v = median > 0 ? bench_number(c, "seconds.mad") / median : 0;
        return json_array_size(bench_get(c, "seconds.raw")) > 1;
    }
    if (strcmp(path, "widths") == 0) {
        *v = (bench_number(c, "active.heads") + bench_number(c, "active.groups")) / 2;
        return bench_get(c, "active") != NULL;
    }
    *v = bench_number(c, path);
    return json_is_number(bench_get(c, path));
}

static void cell(const json_t *c, int i, char *text)
{
    double v;
    text[0] = 0;
    if (!value(c, columns[i].path, &v)) return;
    snprintf(text, CELL, columns[i].format, v * columns[i].factor);
}

static void head(FILE *f, const json_t *doc)
{
    char s[8][160];
    const char *const path[8] = {"model.arch",  "model.weights",  "backend.name",       "backend.isa",
                                 "machine.cpu", "protocol.steps", "protocol.precision", "protocol.sampler"};
    for (int i = 0; i < 8; i++) bench_string(doc, path[i], s[i], sizeof s[i]);
    const double read = bench_number(doc, "machine.read_bytes_per_s");
    fprintf(f, "%s (%s weights), %.0f tokens, %s, %.0f steps, guidance %g, %s\n", s[0],
            strcmp(s[1], "random") == 0 ? "random" : "own", bench_number(doc, "model.tokens"), s[5],
            bench_number(doc, "protocol.n_steps"), bench_number(doc, "protocol.cfg_scale"), s[6]);
    fprintf(f, "%s %s, %.0f thread%s, %s", s[2], s[3], bench_number(doc, "backend.threads"),
            bench_number(doc, "backend.threads") == 1 ? "" : "s", s[4]);
    const double peak = bench_number(json_array_get(bench_get(doc, "cases"), 0), "peak_macs_per_s.median");
    if (peak > 0) fprintf(f, ", peak %.4g GMAC/s", peak / 1e9);
    if (read > 0) fprintf(f, ", reads %.3g GB/s", read / 1e9);
    fputc('\n', f);
}

static void foot(FILE *f, const json_t *doc)
{
    const json_t *paired = bench_get(doc, "protocol.vs_dense");
    fprintf(f,
            "median of %.0f after %.0f warm-up; spread: median distance from it; speed-up: %s; realised: share of the "
            "MAC ratio\n",
            bench_number(doc, "protocol.repeat"), bench_number(doc, "protocol.warmup"),
            json_is_true(paired) ? "median of pairs with a dense run" : "over the dense case");
}

/* Columns that are empty in every row are left out. */
static int used_columns(const json_t *cases, int *used)
{
    char text[CELL];
    int n = 0;
    for (int i = 0; i < N_COLUMNS; i++) {
        bool any = false;
        for (size_t k = 0; k < json_array_size(cases); k++) {
            cell(json_array_get(cases, k), i, text);
            any = any || text[0];
        }
        if (any) used[n++] = i;
    }
    return n;
}

/* Width of a column: its title or its widest cell. */
static int width_of(const json_t *cases, int i)
{
    char text[CELL];
    size_t w = strlen(columns[i].title);
    for (size_t k = 0; k < json_array_size(cases); k++) {
        cell(json_array_get(cases, k), i, text);
        if (strlen(text) > w) w = strlen(text);
    }
    return (int)w;
}

static void plain_table(FILE *f, const json_t *cases)
{
    int used[N_COLUMNS], width[N_COLUMNS], name_width = 4;
    char text[CELL];
    const int n = used_columns(cases, used);
    for (int i = 0; i < n; i++) width[i] = width_of(cases, used[i]);
    for (size_t k = 0; k < json_array_size(cases); k++) {
        const int w = (int)strlen(bench_case_name(json_array_get(cases, k), text, sizeof text));
        if (w > name_width) name_width = w;
    }
    fprintf(f, "%-*s", name_width, "case");
    for (int i = 0; i < n; i++) fprintf(f, "  %*s", width[i], columns[used[i]].title);
    fputc('\n', f);
    for (size_t k = 0; k < json_array_size(cases); k++) {
        const json_t *c = json_array_get(cases, k);
        fprintf(f, "%-*s", name_width, bench_case_name(c, text, sizeof text));
        for (int i = 0; i < n; i++) {
            cell(c, used[i], text);
            fprintf(f, "  %*s", width[i], text);
        }
        fputc('\n', f);
    }
}

static void ops_table(FILE *f, const json_t *cases)
{
    char name[CELL];
    for (size_t k = 0; k < json_array_size(cases); k++) {
        const json_t *c = json_array_get(cases, k);
        json_t *ops = json_object_get(c, "ops"), *v;
        const char *op;
        double sum = 0;
        json_object_foreach(ops, op, v) sum += json_number_value(v);
        if (!(sum > 0)) continue;
        fprintf(f, "ops of %s, batch %.0f:", bench_case_name(c, name, sizeof name), bench_number(c, "batch"));
        json_object_foreach(ops, op, v)
        {
            if (json_number_value(v) >= 0.0005 * sum) fprintf(f, " %s %.1f %%", op, 100 * json_number_value(v) / sum);
        }
        fputc('\n', f);
    }
}

char *bench_text(const json_t *doc)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) return NULL;
    const json_t *cases = bench_get(doc, "cases");
    head(f, doc);
    fputc('\n', f);
    plain_table(f, cases);
    fputc('\n', f);
    ops_table(f, cases);
    foot(f, doc);
    return fclose(f) == 0 ? text : NULL;
}

char *bench_markdown(const json_t *doc)
{
    char *text = NULL, part[CELL];
    size_t size = 0;
    int used[N_COLUMNS];
    FILE *f = open_memstream(&text, &size);
    if (!f) return NULL;
    const json_t *cases = bench_get(doc, "cases");
    const int n = used_columns(cases, used);
    head(f, doc);
    fputs("\n| case |", f);
    for (int i = 0; i < n; i++) fprintf(f, " %s |", columns[used[i]].title);
    fputs("\n|---|", f);
    for (int i = 0; i < n; i++) fputs("---:|", f);
    fputc('\n', f);
    for (size_t k = 0; k < json_array_size(cases); k++) {
        const json_t *c = json_array_get(cases, k);
        fprintf(f, "| %s |", bench_case_name(c, part, sizeof part));
        for (int i = 0; i < n; i++) {
            cell(c, used[i], part);
            fprintf(f, " %s |", part);
        }
        fputc('\n', f);
    }
    fputc('\n', f);
    foot(f, doc);
    return fclose(f) == 0 ? text : NULL;
}

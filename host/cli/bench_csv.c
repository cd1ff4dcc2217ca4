/* SPDX-License-Identifier: MIT
 * The report as comma-separated values (RFC 4180): a header and a line per case; names are paths of the JSON report. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"

static const char *const of_run[] = {"timestamp_utc",  "version",          "git_commit",         "machine.cpu",
                                     "machine.cpus",   "backend.name",     "backend.isa",        "backend.threads",
                                     "model.arch",     "model.weights",    "model.input_size",   "protocol.sampler",
                                     "protocol.steps", "protocol.n_steps", "protocol.cfg_scale", "protocol.precision"};
static const char *const of_case[] = {
    "mode",           "ratio",       "tokens",      "batch",        "seconds.median", "seconds.min",
    "seconds.max",    "seconds.mad", "s_per_image", "s_per_step",   "images_per_s",   "forward_rows",
    "macs_executed",  "macs_dense",  "mac_ratio",   "active.heads", "active.groups",  "active.tokens",
    "speedup.median", "speedup.min", "speedup.max", "realised",     "share_of_peak",  "peak_macs_per_s.median",
    "peak_bytes"};
enum { N_RUN = sizeof of_run / sizeof of_run[0], N_CASE = sizeof of_case / sizeof of_case[0] };

static void field(FILE *f, const json_t *v)
{
    if (json_is_integer(v)) {
        fprintf(f, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    } else if (json_is_real(v)) {
        fprintf(f, "%.9g", json_real_value(v));
    } else if (json_is_string(v)) {
        fputc('"', f);
        for (const char *p = json_string_value(v); *p; p++) {
            if (*p == '"') fputc('"', f);
            fputc(*p, f);
        }
        fputc('"', f);
    } /* else: empty */
}

char *bench_csv(const json_t *doc)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) return NULL;
    for (int i = 0; i < N_RUN; i++) fprintf(f, "%s,", of_run[i]);
    for (int i = 0; i < N_CASE; i++) fprintf(f, "%s%s", of_case[i], i + 1 < N_CASE ? "," : "\n");
    const json_t *cases = bench_get(doc, "cases");
    for (size_t k = 0; k < json_array_size(cases); k++) {
        for (int i = 0; i < N_RUN; i++) {
            field(f, bench_get(doc, of_run[i]));
            fputc(',', f);
        }
        for (int i = 0; i < N_CASE; i++) {
            field(f, bench_get(json_array_get(cases, k), of_case[i]));
            fputc(i + 1 < N_CASE ? ',' : '\n', f);
        }
    }
    return fclose(f) == 0 ? text : NULL;
}

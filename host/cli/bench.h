/* SPDX-License-Identifier: MIT
 * `dydit bench` from its words to its report. A run fills one JSON document (docs/bench.md); the table, Markdown, CSV,
 * pictures and comparisons are all made from such a document, whether it was measured now or read from a file. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include <jansson.h>

#include "cli/common.h"
#include "cli/outputs.h"
#include "cli/switch.h"
#include "dydit.h"

#define BENCH_SCHEMA "dydit-bench"
#define BENCH_SCHEMA_VERSION 1
#define BENCH_MAX_CASES 512

typedef struct bench_args {
    cli_common common;
    cli_switch later;
    int image_size;
    const char *modes, *policy, *reuse_tokens, *cache_dtype;
    cli_list ratios, batches;
    double tokens;
    const char *steps, *sampler;
    double cfg_scale;
    uint64_t seed;
    int warmup, repeat;
    bool vs_dense, profile, dry_run;
    bool json, csv, markdown;
    const char *out, *svg, *compare, *read;
    double limit; /* percent */
} bench_args;

typedef enum bench_mode {
    BENCH_DENSE, /* the complete model */
    BENCH_TDW,   /* widths that depend on the timestep; every token */
    BENCH_SDT,   /* the same, and the token routers decide about the MLPs' tokens */
    BENCH_OWN,   /* what the model's own routers decide */
    BENCH_MODES
} bench_mode;

/* What is timed at every batch size. */
typedef struct bench_case {
    bench_mode mode;
    double ratio, tokens; /* wanted; 0 where the mode has none */
    dydit_plan *plan;     /* NULL: dense or the model's own */
} bench_case;

typedef struct bench_job {
    bench_args a;
    cli_args args;
    char *command; /* as it was given, for the report */
    dydit_ctx *ctx;
    dydit_model *model;
    dydit_model_info info;
    bench_case cases[BENCH_MAX_CASES];
    int n_cases;
    int *labels; /* [largest batch] */
    json_t *doc;
    cli_outputs files;
} bench_job;

/* All functions that return int: 0, or an exit code after a message. */

/* bench_args.c */
int bench_parse(bench_job *job, int n_words, char **words);
void bench_help(void);
/* Options of a run of `batch` pictures under a case, without the policy over it, which is the second. */
void bench_options(const bench_job *job, const bench_case *c, int batch, dydit_sample_options *o);
void bench_policy(const bench_args *a, dydit_sample_options *o);

/* bench_cases.c: the model, the list of cases and their plans; fitting moves the routers to what the case wants. */
const char *bench_mode_name(bench_mode mode);
int bench_open(bench_job *job);
int bench_cases_build(bench_job *job);
int bench_case_fit(bench_job *job, bench_case *c);
void bench_cases_free(bench_job *job);

/* bench_run.c: times every case at every batch size into job->doc. */
int bench_run(bench_job *job);
int bench_sample(const bench_job *job, const dydit_sample_options *o, dydit_result **r);
/* bench_dry.c: what would be timed, and the memory it needs. */
int bench_dry_run(bench_job *job);

/* bench_doc.c */
int bench_doc_new(bench_job *job);
int bench_doc_read(json_t **doc, const char *flag, const char *path);
/* Speed-ups of cases that were not timed in pairs, against the dense case of the same batch size. */
void bench_doc_finish(json_t *doc);
/* Value at a path such as "seconds.median" below any object; NULL where there is none. */
const json_t *bench_get(const json_t *obj, const char *path);
double bench_number(const json_t *obj, const char *path); /* 0 where there is none */
const char *bench_string(const json_t *obj, const char *path, char *buf, size_t size);
/* "tdw+sdt 0.5" */
const char *bench_case_name(const json_t *c, char *buf, size_t size);

/* Each makes a text (the caller frees it), NULL when out of memory. bench_table.c, bench_csv.c, bench_svg.c */
char *bench_text(const json_t *doc);
char *bench_markdown(const json_t *doc);
char *bench_csv(const json_t *doc);
char *bench_svg(const json_t *doc);

/* bench_compare.c: prints a verdict per case; CLI_SLOWER if any case is slower. limit: 0.05 = 5 %. */
int bench_compare(const json_t *before, const json_t *now, const char *path, double limit);

#endif

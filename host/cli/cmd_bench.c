/* SPDX-License-Identifier: MIT
 * `dydit bench`: measures or reads a document, then prints, writes and compares it. */
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/stop.h"

#define DIGITS 9 /* of figures in the JSON report */

static char *json_text(const json_t *doc)
{
    char *text = json_dumps(doc, JSON_INDENT(1) | JSON_REAL_PRECISION(DIGITS));
    const size_t n = text ? strlen(text) : 0;
    char *line = text ? realloc(text, n + 2) : NULL;
    if (!line) {
        free(text);
        return NULL;
    }
    memcpy(line + n, "\n", 2);
    return line;
}

/* The format that the flags ask for; JSON where they ask for none. */
static char *formatted(const bench_job *job)
{
    if (job->a.csv) return bench_csv(job->doc);
    if (job->a.markdown) return bench_markdown(job->doc);
    return json_text(job->doc);
}

static int write_file(const bench_job *job, const char *path, char *text)
{
    if (!text) return cli_fail(CLI_SYSTEM, "out of memory for %s", path);
    const dydit_status st = dydit_write_text(job->ctx, path, text);
    free(text);
    return st == DYDIT_OK ? CLI_OK : cli_fail_status(job->ctx, st);
}

/* The table goes to stdout, unless another format does. */
static int print(const bench_job *job)
{
    const bool other = !job->a.out && (job->a.json || job->a.csv || job->a.markdown);
    if (job->a.common.quiet && !other) return CLI_OK;
    char *text = other ? formatted(job) : bench_text(job->doc);
    if (!text) return cli_fail(CLI_SYSTEM, "out of memory for the report");
    if (other) fputs(text, stdout);
    else cli_out(text);
    free(text);
    return CLI_OK;
}

static int report(const bench_job *job, const json_t *before)
{
    int rc = CLI_OK;
    if (job->a.out) rc = write_file(job, job->a.out, formatted(job));
    if (rc == CLI_OK && job->a.svg) rc = write_file(job, job->a.svg, bench_svg(job->doc));
    if (rc == CLI_OK) rc = print(job);
    if (rc != CLI_OK) return rc;
    for (int i = 0; !job->a.common.quiet && i < job->files.n_out; i++) {
        if (!(job->a.json || job->a.csv || job->a.markdown) || job->a.out) {
            cli_outf("wrote %s\n", job->files.out[i].path);
        }
    }
    return before ? bench_compare(before, job->doc, job->a.compare, job->a.limit / 100) : CLI_OK;
}

static int check_files(bench_job *job)
{
    const bench_args *a = &job->a;
    cli_outputs_in(&job->files, "--ckpt", a->common.ckpt);
    cli_outputs_in(&job->files, "--switch", a->later.path);
    cli_outputs_in(&job->files, "--compare", a->compare);
    cli_outputs_in(&job->files, "--read", a->read);
    cli_outputs_in_policy(&job->files, a->policy);
    cli_outputs_out(&job->files, "--out", a->out);
    cli_outputs_out(&job->files, "--svg", a->svg);
    return cli_outputs_check(&job->files, job->ctx);
}

static int measure(bench_job *job)
{
    int rc = bench_cases_build(job);
    if (rc == CLI_OK && job->a.dry_run) return bench_dry_run(job);
    if (rc == CLI_OK) rc = bench_doc_new(job);
    return rc == CLI_OK ? bench_run(job) : rc;
}

static int run(bench_job *job)
{
    json_t *before = NULL;
    int rc = CLI_OK;
    if (job->a.compare) rc = bench_doc_read(&before, "--compare", job->a.compare); /* early: timing takes long */
    if (rc == CLI_OK && job->a.read) {
        rc = cli_open_context(&job->a.common, &job->ctx);
        if (rc == CLI_OK) rc = check_files(job);
        if (rc == CLI_OK) rc = bench_doc_read(&job->doc, "--read", job->a.read);
    } else if (rc == CLI_OK) {
        rc = bench_open(job);
        if (rc == CLI_OK) rc = cli_switch_open(&job->a.later, job->ctx);
        if (rc == CLI_OK) rc = check_files(job);
        if (rc == CLI_OK) rc = measure(job);
    }
    if (rc == CLI_OK && !job->a.dry_run) rc = report(job, before);
    json_decref(before);
    return rc;
}

int cli_bench(int n_words, char **words)
{
    bench_job *job = calloc(1, sizeof *job);
    if (!job) return cli_fail(CLI_SYSTEM, "out of memory");
    int rc = bench_parse(job, n_words, words);
    if (rc == CLI_OK && job->args.help) {
        bench_help();
    } else if (rc == CLI_OK) {
        cli_stop_watch();
        rc = run(job);
    }
    bench_cases_free(job);
    json_decref(job->doc);
    free(job->command);
    cli_switch_close(&job->a.later);
    cli_close(&job->ctx, &job->model);
    free(job);
    return rc;
}

/* SPDX-License-Identifier: MIT
 * Flags of `dydit bench`: the table, and which of them go together. */
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/bench_stats.h"
#include "cli/stop.h"

#define ROW(...) CLI_ROW(bench_args, __VA_ARGS__)

static const cli_option options[] = {
    CLI_HEADING("model"),
    ROW(TEXT, "model", 0, common.preset, "NAME", 0, 0, 0,
        "a DiT or DyDiT of size S, B, L or XL and patch 2, 4 or 8 with\nrandom weights (default DyDiT-XL/2)"),
    ROW(TEXT, "ckpt", "m", common.ckpt, "FILE", 0, 0, 0, "a safetensors checkpoint instead"),
    ROW(INT, "image-size", 0, image_size, "N", 0, 8, 16384, "pixels, 8 per latent (default 256, or the checkpoint's)"),
    CLI_HEADING("what is timed"),
    ROW(TEXT, "mode", 0, modes, "LIST", 0, 0, 0,
        "of dense, tdw (widths change with the timestep), tdw+sdt\n(and token routers run), own (the checkpoint's "
        "routers);\n"
        "default all that the model has, own with --ckpt only"),
    ROW(REALS, "ratio", "r", ratios, "LIST", 0, 0.001, 1,
        "executed over dense MACs wanted of tdw and tdw+sdt\n(default 0.5)"),
    ROW(REAL, "tokens", 0, tokens, "X", "0.7", 0.01, 0.99, "share of tokens that the routers of random models keep"),
    ROW(ONCE, "policy", 0, policy, "NAME", 0, 0, 0,
        "fora:interval=N, l2c:router=FILE,threshold=X or\ninherit:mode=delta,stride=N, over every case; needs "
        "--vs-dense"),
    ROW(TEXT, "reuse-tokens", 0, reuse_tokens, "NAME", 0, 0, 0, "with --policy: frozen (default), intersect or fresh"),
    ROW(TEXT, "cache-dtype", 0, cache_dtype, "NAME", 0, 0, 0,
        "with --policy, of kept branches: f32, bf16; else bf16 in runs\nin bf16 or fp16"),
    CLI_SWITCH_ROW(bench_args),
    ROW(INTS, "batch-size", "b,per-proc-batch-size", batches, "LIST", 0, 1, 4096, "pictures at a time (default 1)"),
    ROW(TEXT, "steps", "num-sampling-steps", steps, "SPEC", "ddim10", 0, 0, "250, or ddim50 for DDIM"),
    ROW(TEXT, "sampler", 0, sampler, "NAME", "auto", 0, 0, "ddpm, ddim, dpmpp2m or unipc; auto looks at --steps"),
    ROW(REAL, "cfg-scale", 0, cfg_scale, "X", "1.5", 0, 1e6, "guidance, which doubles the rows; 1: none"),
    ROW(U64, "seed", "s,global-seed", seed, "N", "0", 0, 0, "of weights, labels and noise"),
    CLI_HEADING("how it is timed"),
    ROW(INT, "warmup", "num-warmup-runs", warmup, "N", "1", 0, 100, "runs that are not counted"),
    ROW(INT, "repeat", "num-iterations", repeat, "N", "5", 1, BENCH_MAX_REPEAT, "runs that are"),
    ROW(FLAG, "vs-dense", 0, vs_dense, 0, 0, 0, 0, "time dense and dynamic runs in turn, compare pair by pair"),
    ROW(FLAG, "profile", 0, profile, 0, 0, 0, 0, "one more run per case, timed op by op"),
    CLI_HEADING("report"),
    ROW(FLAG, "json", 0, json, 0, 0, 0, 0, "one JSON object (docs/bench.md)"),
    ROW(FLAG, "csv", 0, csv, 0, 0, 0, 0, "a line per case"),
    ROW(FLAG, "markdown", 0, markdown, 0, 0, 0, 0, "a table to paste"),
    ROW(TEXT, "out", "o,output", out, "FILE", 0, 0, 0,
        "JSON, or what the flags above say, goes here; the table is\nstill printed"),
    ROW(TEXT, "svg", 0, svg, "FILE", 0, 0, 0, "drawing of speed-ups and op times; implies --profile"),
    ROW(TEXT, "compare", 0, compare, "FILE", 0, 0, 0,
        "an earlier --json report: verdict per case, exit code 5 if any\nis slower"),
    ROW(REAL, "limit", 0, limit, "PERCENT", "5", 0.1, 1000, "smallest change that --compare minds"),
    ROW(TEXT, "read", 0, read, "FILE", 0, 0, 0, "report on this --json file; nothing is timed"),
    CLI_HEADING("machine and talk"),
    CLI_MACHINE_ROWS(bench_args),
    ROW(FLAG, "dry-run", 0, dry_run, 0, 0, 0, 0, "print cases, work and memory, then stop"),
    CLI_TALK_ROWS(bench_args),
};

static const cli_spec spec = {
    "bench",
    "[flags]",
    "Times sampling: the complete model, and synthetic plans of a chosen cost. Exit code 5: slower than --compare "
    "FILE.",
    options,
    (int)(sizeof options / sizeof options[0]),
    NULL,
    "  dydit bench --model DyDiT-XL/2 --ratio 0.3,0.5,0.7 --vs-dense --out run.json --svg run.svg\n"
    "  dydit bench --model DyDiT-S/2 --batch-size 1,4,16 --markdown\n"
    "  dydit bench --model DyDiT-S/2 --compare before.json\n"
    "  dydit bench --read run.json --compare before.json\n"};

void bench_help(void) { cli_help(&spec); }

/* Flags that would have no effect beside --read. */
static int check_read(const bench_job *job)
{
    static const char *const fixed[] = {
        "model",   "ckpt",         "image-size", "mode",       "ratio",     "tokens",       "steps",
        "sampler", "cfg-scale",    "seed",       "warmup",     "repeat",    "profile",      "vs-dense",
        "dry-run", "threads",      "backend",    "batch-size", "precision", "device",       "no-graph",
        "engine",  "reproducible", "tune-cache", "policy",     "switch",    "reuse-tokens", "cache-dtype"};
    for (size_t i = 0; job->a.read && i < sizeof fixed / sizeof fixed[0]; i++) {
        if (cli_given(&job->args, fixed[i])) {
            return cli_fail(CLI_USAGE, "--read and --%s exclude each other: nothing is timed", fixed[i]);
        }
    }
    return CLI_OK;
}

static int check_pairs(const bench_job *job)
{
    const bench_args *a = &job->a;
    if (a->json + a->csv + a->markdown > 1) {
        return cli_fail(CLI_USAGE, "--json, --csv and --markdown exclude each other: one format at a time");
    }
    if (cli_given(&job->args, "limit") && !a->compare) return cli_fail(CLI_USAGE, "--limit needs --compare FILE");
    if (a->policy && !a->vs_dense && !a->read) {
        return cli_fail(CLI_USAGE, "--policy needs --vs-dense, the complete model to compare with");
    }
    if ((a->reuse_tokens || a->cache_dtype) && !a->policy && !a->read) {
        return cli_fail(CLI_USAGE, "--%s needs --policy: nothing is reused",
                        a->reuse_tokens ? "reuse-tokens" : "cache-dtype");
    }
    if (a->dry_run && (a->out || a->svg || a->compare || a->json || a->csv || a->markdown)) {
        return cli_fail(CLI_USAGE, "--dry-run times nothing that could be reported or compared");
    }
    if (a->compare && !a->out && (a->json || a->csv || a->markdown)) {
        return cli_fail(CLI_USAGE, "--compare prints its verdicts: give --out FILE for the report");
    }
    if (a->common.ckpt && cli_given(&job->args, "tokens")) {
        return cli_fail(CLI_USAGE,
                        "--tokens and --ckpt exclude each other: routers of a checkpoint are left as they are");
    }
    return check_read(job);
}

/* Words joined, in quotes where a shell would split or expand them. */
static char *join(int n_words, char **words)
{
    size_t size = sizeof "dydit bench";
    for (int i = 0; i < n_words; i++) size += 4 * strlen(words[i]) + 3;
    char *text = malloc(size), *p = text;
    if (!text) return NULL;
    p = (char *)memcpy(p, "dydit bench", 11) + 11;
    for (int i = 0; i < n_words; i++) {
        const bool plain = words[i][strspn(words[i], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                                     "-_=+./,:@%")] == 0 &&
                           words[i][0];
        *p++ = ' ';
        if (!plain) *p++ = '\'';
        for (const char *c = words[i]; *c; c++) {
            if (*c == '\'') p = (char *)memcpy(p, "'\\'", 3) + 3;
            *p++ = *c;
        }
        if (!plain) *p++ = '\'';
    }
    *p = 0;
    return text;
}

int bench_parse(bench_job *job, int n_words, char **words)
{
    bench_args *a = &job->a;
    int rc = cli_parse(&spec, n_words, words, a, sizeof *a, &job->args);
    if (rc != CLI_OK || job->args.help) return rc;
    rc = check_pairs(job);
    if (rc == CLI_OK) rc = cli_switch_parse(&a->later);
    if (rc != CLI_OK) return rc;
    if (!a->common.ckpt && !a->common.preset) a->common.preset = "DyDiT-XL/2";
    if (a->ratios.n == 0) a->ratios = (cli_list){1, {0.5}};
    if (a->batches.n == 0) a->batches = (cli_list){1, {1}};
    if (a->svg && !a->read) a->profile = true;
    job->command = join(n_words, words);
    return job->command ? CLI_OK : cli_fail(CLI_SYSTEM, "out of memory");
}

static int on_progress(void *user, const dydit_progress *p)
{
    (void)user, (void)p;
    return cli_stop_asked();
}

void bench_policy(const bench_args *a, dydit_sample_options *o)
{
    o->policy = a->policy;
    o->reuse_tokens = a->reuse_tokens;
    o->cache_dtype = a->cache_dtype;
}

void bench_options(const bench_job *job, const bench_case *c, int batch, dydit_sample_options *o)
{
    const bench_args *a = &job->a;
    dydit_sample_options_init(o, sizeof *o);
    o->sampler = a->sampler;
    o->steps = a->steps;
    o->cfg_scale = a->cfg_scale;
    o->seed = a->seed;
    o->batch_size = batch;
    o->n_images = batch;
    o->labels = job->labels;
    o->dense = c->mode == BENCH_DENSE;
    o->plan = c->plan;
    cli_switch_options(&a->later, o);
    o->progress = on_progress;
}

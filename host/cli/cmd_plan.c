/* SPDX-License-Identifier: MIT
 * `dydit plan`: shows and writes what every step computes. */
#include <string.h>

#include "cli/outputs.h"
#include "cli/plan.h"
#include "cli/policy.h"
#include "cli/stop.h"

#define ROW(...) CLI_ROW(plan_args, __VA_ARGS__)

static const cli_option options[] = {
    CLI_MODEL_ROWS(plan_args),
    CLI_HEADING("what is planned"),
    ROW(TEXT, "steps", "num-sampling-steps", steps, "SPEC", "250", 0, 0, "250, or ddim50 for DDIM"),
    ROW(TEXT, "sampler", 0, sampler, "NAME", "auto", 0, 0, "ddpm, ddim, dpmpp2m or unipc; auto looks at --steps"),
    ROW(REAL, "eta", 0, eta, "X", "0", 0, 1, "noise added by DDIM"),
    ROW(REAL, "cfg-scale", 0, cfg_scale, "X", "4", 0, 1e6, "guidance; 1: none"),
    ROW(PAIR, "cfg-interval", 0, cfg_interval, "LO HI", "0,999", 0, 999, "guide at timesteps LO..HI only"),
    CLI_POLICY_ROWS(plan_args),
    CLI_SWITCH_ROW(plan_args),
    ROW(FLAG, "dense", 0, dense, 0, 0, 0, 0, "compute everything, ask no router"),
    ROW(TEXT, "plan", 0, plan, "FILE", 0, 0, 0, "show this plan instead"),
    CLI_HEADING("search (docs/search.md): a method of dydit's own"),
    ROW(FLAG, "search", 0, search, 0, 0, 0, 0,
        "choose which branches are reused when, by errors measured\non sampled pictures; of this plan, or that of "
        "--plan"),
    ROW(REAL, "budget", 0, budget, "R", 0, 0, 1,
        "share of the complete model's multiply-adds, conditioning\nnot counted"),
    ROW(INT, "search-images", 0, images, "N", "4", 1, 64, "pictures of random labels to measure on"),
    ROW(U64, "seed", "s,global-seed", seed, "N", "0", 0, 0, "of these pictures"),
    CLI_HEADING("bound by data sheet"),
    ROW(TEXT, "device", 0, device, "NAME", 0, 0, 0,
        "print what a batch costs there at least, no measurement:\nH100, H200, A100, RTX4090 or L4"),
    ROW(TEXT, "precision", 0, precision, "NAME", "auto", 0, 0, "bf16 (auto), fp16, tf32; fp32, without tensor cores"),
    ROW(INT, "batch-size", "b,per-proc-batch-size", batch_size, "N", "1", 1, 4096, "pictures at a time"),
    ROW(REAL, "tokens", 0, tokens, "X", "1", 0.01, 1, "share that token routers are assumed to keep"),
    ROW(REAL, "launch-us", 0, launch_us, "X", "2", 0, 1000, "microseconds assumed per kernel; 1 in a graph, 0: none"),
    CLI_CACHE_ROW(plan_args),
    CLI_HEADING("files"),
    ROW(TEXT, "output", "o", output, "FILE", 0, 0, 0, "the plan as JSON, for dydit sample --plan"),
    ROW(TEXT, "svg", "plan-svg", svg, "FILE", 0, 0, 0, "a drawing of it"),
    ROW(TEXT, "search-svg", 0, search_svg, "FILE", 0, 0, 0,
        "a drawing of error over cost, of searched plans and FORA's"),
    ROW(TEXT, "search-json", 0, search_json, "FILE", 0, 0, 0, "the same as numbers"),
    CLI_HEADING("machine and talk"), /* not CLI_MACHINE_ROWS: device and precision are those of the bound */
    ROW(TEXT, "backend", 0, common.backend, "NAME", "auto", 0, 0,
        "as for dydit sample; a plan is made on the host, a search\nruns there"),
    ROW(INT, "threads", "t", common.threads, "N", "0", 0, 4096, "0: the CPUs this process may use"),
    ROW(FLAG, "json", 0, json, 0, 0, 0, 0, "print the plan, or the bound, as JSON instead of the table"),
    CLI_TALK_ROWS(plan_args),
};

static const cli_spec spec = {
    "plan",
    "--ckpt FILE [flags]",
    "Shows which heads, channel groups and tokens every step computes. Nothing is sampled, but by --search.",
    options,
    (int)(sizeof options / sizeof options[0]),
    NULL,
    "  dydit plan --ckpt models/glyphs.safetensors --steps ddim50 --svg plan.svg\n"
    "  dydit plan --ckpt models/glyphs.safetensors --steps ddim50 -o plan.json\n"
    "  dydit plan --ckpt models/glyphs.safetensors --steps ddim50 --search --budget 0.3 -o plan.json\n"
    "  dydit plan --ckpt models/glyphs.safetensors --device H100 --batch-size 64\n"
    "  dydit sample --ckpt models/glyphs.safetensors --steps ddim50 --plan plan.json\n"};

static int check_flags(const plan_args *a, const cli_args *args)
{
    static const char *const fixed[] = {"steps",        "sampler", "eta",    "cfg-scale",
                                        "cfg-interval", "dense",   "policy", "reuse-tokens"};
    static const char *const searched[] = {"budget", "search-images", "seed", "search-svg", "search-json"};
    for (size_t i = 0; !a->search && i < sizeof searched / sizeof searched[0]; i++) {
        if (cli_given(args, searched[i])) return cli_fail(CLI_USAGE, "--%s says nothing without --search", searched[i]);
    }
    if (a->search && !cli_given(args, "budget")) return cli_fail(CLI_USAGE, "--search needs --budget R");
    if (a->search && a->policy) {
        return cli_fail(CLI_USAGE, "--search and --policy exclude each other: both choose what is reused");
    }
    if (a->search && cli_given(args, "switch")) {
        return cli_fail(CLI_USAGE, "--search and --switch exclude each other: the search is for one model");
    }
    for (size_t i = 0; a->plan && !a->search && i < sizeof fixed / sizeof fixed[0]; i++) {
        if (cli_given(args, fixed[i])) {
            return cli_fail(CLI_USAGE, "--plan and --%s exclude each other: the file says what is computed", fixed[i]);
        }
    }
    static const char *const bound[] = {"batch-size", "tokens", "launch-us", "cache-dtype"};
    for (size_t i = 0; !a->device && i < sizeof bound / sizeof bound[0]; i++) {
        if (cli_given(args, bound[i])) return cli_fail(CLI_USAGE, "--%s says nothing without --device", bound[i]);
    }
    return CLI_OK;
}

void plan_options(const plan_args *a, dydit_sample_options *o)
{
    dydit_sample_options_init(o, sizeof *o);
    o->steps = a->steps;
    o->sampler = a->sampler;
    o->eta = a->eta;
    o->cfg_scale = a->cfg_scale;
    o->cfg_lo = a->cfg_interval[0];
    o->cfg_hi = a->cfg_interval[1];
    o->dense = a->dense;
    o->policy = a->policy;
    o->reuse_tokens = a->reuse_tokens;
    cli_switch_options(&a->later, o);
}

static dydit_status get_plan(const plan_args *a, dydit_model *model, dydit_plan **plan)
{
    dydit_sample_options o;
    if (a->plan) return dydit_plan_read_switched(model, a->later.model, a->plan, plan);
    plan_options(a, &o);
    return dydit_plan_build(model, &o, plan);
}

static dydit_status write_report(dydit_ctx *ctx, const dydit_plan *plan, dydit_format format, const char *path)
{
    char *text = NULL;
    if (!path) return DYDIT_OK;
    dydit_status st = dydit_plan_report(plan, format, &text);
    if (st == DYDIT_OK) st = dydit_write_text(ctx, path, text);
    dydit_free(text);
    return st;
}

static dydit_status print_text(const plan_args *a, const dydit_plan *plan, dydit_format format, char **text)
{
    dydit_bound_options o;
    if (!a->device) return dydit_plan_report(plan, format, text);
    dydit_bound_options_init(&o, sizeof o);
    o.device = a->device;
    o.precision = a->precision;
    o.batch_size = a->batch_size;
    o.tokens = a->tokens;
    o.launch_us = a->launch_us;
    o.cache_dtype = a->cache_dtype;
    return dydit_plan_bound(plan, &o, format, text);
}

static int show(const plan_args *a, dydit_ctx *ctx, const dydit_plan *plan)
{
    const dydit_format format = a->json ? DYDIT_JSON : DYDIT_TEXT;
    char *text = NULL;
    dydit_status st = write_report(ctx, plan, DYDIT_JSON, a->output);
    if (st == DYDIT_OK) st = write_report(ctx, plan, DYDIT_SVG, a->svg);
    if (st != DYDIT_OK) return cli_fail_status(ctx, st);
    if (!a->json && a->common.quiet) return CLI_OK;
    st = print_text(a, plan, format, &text);
    return cli_show(ctx, st, text, format);
}

static int run(const plan_args *a, dydit_ctx *ctx, dydit_model *model)
{
    cli_outputs files;
    dydit_plan *plan = NULL;
    memset(&files, 0, sizeof files);
    cli_outputs_in(&files, "--ckpt", a->common.ckpt);
    cli_outputs_in(&files, "--plan", a->plan);
    cli_outputs_in_policy(&files, a->policy);
    cli_outputs_in(&files, "--switch", a->later.path);
    cli_outputs_out(&files, "--output", a->output);
    cli_outputs_out(&files, "--svg", a->svg);
    cli_outputs_out(&files, "--search-svg", a->search_svg);
    cli_outputs_out(&files, "--search-json", a->search_json);
    int rc = cli_outputs_check(&files, ctx);
    if (rc != CLI_OK) return rc;
    const dydit_status st = get_plan(a, model, &plan);
    rc = st == DYDIT_OK ? CLI_OK : cli_fail_status(ctx, st);
    if (rc == CLI_OK && a->search) rc = plan_search(a, ctx, model, &plan);
    if (rc == CLI_OK) rc = show(a, ctx, plan);
    dydit_plan_close(&plan);
    return rc;
}

int cli_plan(int n_words, char **words)
{
    plan_args a;
    cli_args args;
    dydit_ctx *ctx = NULL;
    dydit_model *model = NULL;
    int rc = cli_parse(&spec, n_words, words, &a, sizeof a, &args);
    if (rc == CLI_OK && args.help) {
        cli_help(&spec);
        return CLI_OK;
    }
    if (rc == CLI_OK) rc = check_flags(&a, &args);
    if (rc == CLI_OK) rc = cli_switch_parse(&a.later);
    if (rc != CLI_OK) return rc;
    if (a.search) {
        cli_stop_watch();
        a.common.precision = a.precision;
    }
    rc = cli_open(&a.common, &ctx, &model);
    if (rc == CLI_OK) rc = cli_switch_open(&a.later, ctx);
    if (rc == CLI_OK) rc = run(&a, ctx, model);
    cli_switch_close(&a.later);
    cli_close(&ctx, &model);
    return rc;
}

/* SPDX-License-Identifier: MIT
 * `dydit convert ROUTERS OUT.json`: routers of Learning-to-Cache as JSON, or as the plan that they make of a model. */
#include <stdio.h>
#include <string.h>

#include "cli/convert.h"
#include "cli/outputs.h"

bool convert_is_router(const cli_args *args)
{
    const size_t n = strlen(args->arg2);
    return n > 5 && strcmp(args->arg2 + n - 5, ".json") == 0;
}

int convert_check(const cli_args *args)
{
    static const char *const ours[] = {"ckpt", "steps", "threshold"}, *const others[] = {"dtype", "layout"};
    const bool router = convert_is_router(args);
    for (size_t i = 0; !router && i < sizeof ours / sizeof ours[0]; i++) {
        if (cli_given(args, ours[i])) {
            return cli_fail(CLI_USAGE, "--%s is for routers, which are written to OUT.json, not to %s", ours[i],
                            args->arg2);
        }
    }
    for (size_t i = 0; router && i < sizeof others / sizeof others[0]; i++) {
        if (cli_given(args, others[i])) {
            return cli_fail(CLI_USAGE, "--%s is for checkpoints; to %s routers are written", others[i], args->arg2);
        }
    }
    if (router && cli_given(args, "ckpt") != cli_given(args, "steps")) {
        return cli_fail(CLI_USAGE,
                        "--ckpt and --steps belong together: the plan is one of a model and a number of steps");
    }
    return CLI_OK;
}

static dydit_status write_plan(const convert_args *a, const cli_args *args, dydit_ctx *ctx, dydit_model *model)
{
    char policy[4096], *text = NULL;
    dydit_sample_options o;
    dydit_plan *plan = NULL;
    dydit_sample_options_init(&o, sizeof o);
    const int n = snprintf(policy, sizeof policy, "l2c:router=%s", args->arg);
    if (cli_given(args, "threshold") && n < (int)sizeof policy) {
        snprintf(policy + n, sizeof policy - (size_t)n, ",threshold=%.17g", a->threshold);
    }
    o.steps = a->steps;
    o.policy = policy;
    dydit_status st = dydit_plan_build(model, &o, &plan);
    if (st == DYDIT_OK) st = dydit_plan_report(plan, DYDIT_JSON, &text);
    if (st == DYDIT_OK) st = dydit_write_text(ctx, args->arg2, text);
    dydit_free(text);
    dydit_plan_close(&plan);
    return st;
}

static int run(const convert_args *a, const cli_args *args, dydit_ctx *ctx, dydit_model *model)
{
    cli_outputs files;
    char *text = NULL;
    memset(&files, 0, sizeof files);
    cli_outputs_in(&files, "IN", args->arg);
    cli_outputs_in(&files, "--ckpt", a->common.ckpt);
    cli_outputs_out(&files, "OUT", args->arg2);
    const int rc = cli_outputs_check(&files, ctx);
    if (rc != CLI_OK) return rc;
    dydit_status st;
    if (model) st = write_plan(a, args, ctx, model);
    else
        st = dydit_convert_router(ctx, args->arg, args->arg2, cli_given(args, "threshold") ? &a->threshold : NULL,
                                  &text);
    if (st == DYDIT_OK && (!text || a->common.quiet)) {
        dydit_free(text);
        return CLI_OK;
    }
    return cli_show(ctx, st, text, DYDIT_TEXT);
}

int convert_router(convert_args *a, const cli_args *args)
{
    dydit_ctx *ctx = NULL;
    dydit_model *model = NULL;
    if (strchr(args->arg, ','))
        return cli_fail(CLI_USAGE, "the file of the routers, %s, has a comma in its name", args->arg);
    int rc = a->common.ckpt ? cli_open(&a->common, &ctx, &model) : cli_open_context(&a->common, &ctx);
    if (rc == CLI_OK) rc = run(a, args, ctx, model);
    cli_close(&ctx, &model);
    return rc;
}

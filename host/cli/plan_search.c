/* SPDX-License-Identifier: MIT
 * `dydit plan --search`. */
#include <stdlib.h>

#include "cli/plan.h"
#include "cli/stop.h"

static int on_progress(void *user, double share)
{
    const plan_args *a = user;
    if (!a->common.quiet && cli_stderr_is_terminal()) {
        char line[64];
        snprintf(line, sizeof line, "measuring errors of reuse: %.0f %%", 100 * share);
        cli_bar_draw(line);
    }
    return cli_stop_asked();
}

static dydit_status search(const plan_args *a, dydit_model *model, const dydit_plan *start, dydit_plan **plan,
                           char **report)
{
    dydit_sample_options o;
    dydit_search_options how;
    int labels[64];
    const dydit_status st = dydit_labels_random(model, a->seed, 0, a->images, labels);
    if (st != DYDIT_OK) return st;
    plan_options(a, &o);
    o.plan = a->plan ? start : NULL;
    o.labels = labels;
    o.n_images = a->images;
    o.seed = a->seed;
    dydit_search_options_init(&how, sizeof how);
    how.budget = a->budget;
    how.progress = on_progress;
    how.user = (void *)(uintptr_t)a;
    return dydit_plan_search(model, &o, &how, plan, report);
}

static int write_files(const plan_args *a, dydit_ctx *ctx, const char *report)
{
    dydit_status st = DYDIT_OK;
    if (a->search_json) st = dydit_write_text(ctx, a->search_json, report);
    if (st != DYDIT_OK) return cli_fail_status(ctx, st);
    if (!a->search_svg) return CLI_OK;
    json_t *doc = json_loads(report, 0, NULL);
    char *svg = doc ? plan_search_svg(doc) : NULL;
    json_decref(doc);
    if (!svg) return cli_fail(CLI_SYSTEM, "out of memory for %s", a->search_svg);
    st = dydit_write_text(ctx, a->search_svg, svg);
    free(svg);
    return st == DYDIT_OK ? CLI_OK : cli_fail_status(ctx, st);
}

int plan_search(const plan_args *a, dydit_ctx *ctx, dydit_model *model, dydit_plan **plan)
{
    char *report = NULL;
    dydit_plan *found = NULL;
    if (cli_stop_asked()) return cli_fail(CLI_STOPPED, "stopped; nothing was written");
    const bool wanted = a->search_svg || a->search_json; /* else curves are not measured */
    const dydit_status st = search(a, model, *plan, &found, wanted ? &report : NULL);
    cli_bar_clear();
    if (st == DYDIT_ERR_CANCELLED) return cli_fail(CLI_STOPPED, "stopped; nothing was written");
    if (st != DYDIT_OK) return cli_fail_status(ctx, st);
    dydit_plan_close(plan);
    *plan = found;
    const int rc = wanted ? write_files(a, ctx, report) : CLI_OK;
    dydit_free(report);
    return rc;
}

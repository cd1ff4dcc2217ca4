/* SPDX-License-Identifier: MIT
 * `dydit plan`: its flags, and the search for a plan. */
#ifndef CLI_PLAN_H
#define CLI_PLAN_H

#include <jansson.h>

#include "cli/common.h"
#include "cli/switch.h"
#include "dydit.h"

typedef struct plan_args {
    cli_common common;
    cli_switch later;
    const char *steps, *sampler;
    double eta, cfg_scale;
    int cfg_interval[2];
    const char *policy, *reuse_tokens;
    const char *plan, *output, *svg;
    const char *device, *precision; /* of the bound; the context computes nothing */
    int batch_size;
    double tokens, launch_us;
    const char *cache_dtype;
    bool search;
    double budget;
    int images;
    uint64_t seed;
    const char *search_svg, *search_json;
    bool dense, json;
} plan_args;

/* cmd_plan.c: the options of a run under the plan. */
void plan_options(const plan_args *a, dydit_sample_options *o);

/* plan_search.c: replaces *plan by one within --budget, and writes what was measured. 0, or an exit code after a message. */
int plan_search(const plan_args *a, dydit_ctx *ctx, dydit_model *model, dydit_plan **plan);

/* plan_search_svg.c: error over cost of a report of dydit_plan_search. The caller frees it; NULL when out of memory. */
char *plan_search_svg(const json_t *report);

#endif

/* SPDX-License-Identifier: MIT
 * Public API: what a run did, in numbers. MACs follow from the plan and the measured token counts. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api_internal.h"
#include "host/base/str.h"
#include "host/io/json.h"
#include "host/plan/cost.h"

/* Of the sites of one weight set: [n_steps, n_sites]. */
static dd_status kept_shares(double **out, const dydit_result *r, const dd_plan *plan, const dd_model *m, dd_err *err)
{
    double *kept = calloc((size_t)plan->n_steps * (size_t)m->n_sites, sizeof *kept);
    if (!kept) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for token shares");
    for (int t = 0; t < plan->n_steps; t++)
        for (int s = 0; s < m->n_sites; s++) {
            const dd_cell *c = dd_plan_cell(plan, t, s);
            double *share = &kept[(size_t)t * (size_t)m->n_sites + (size_t)s];
            *share = 1.0;
            if (c->rows != DD_ROWS_ROUTED || c->router < 0 || r->out.rows[t] == 0) continue;
            const uint64_t n = r->out.kept[(size_t)t * (size_t)r->out.routers + (size_t)c->router];
            *share = (double)n / ((double)r->out.rows[t] * m->cfg.tokens);
        }
    *out = kept;
    return DD_OK;
}

dd_status dd_executed_init(dd_executed *e, const dydit_result *r, dd_err *err)
{
    *e = (dd_executed){.part = {{.plan = r->plan, .model = r->model->m}}};
    DD_TRY(kept_shares(&e->kept[0], r, r->plan, r->model->m, err));
    e->part[0].kept = e->kept[0];
    if (!r->plan->other) return DD_OK;
    e->part[1] = (dd_report){.plan = r->plan->other, .model = r->set.later->m};
    e->part[0].other = &e->part[1];
    DD_TRY(kept_shares(&e->kept[1], r, r->plan->other, r->set.later->m, err));
    e->part[1].kept = e->kept[1];
    return DD_OK;
}

void dd_executed_fini(dd_executed *e)
{
    for (int i = 0; i < DD_WEIGHT_SETS; i++) free(e->kept[i]);
}

/* Mean shares of heads, groups and tokens over steps and sites. */
static void add_shares(const dd_report *whole, dydit_stats *s)
{
    double units[2] = {0, 0};
    int64_t sites[2] = {0, 0};
    double tokens = 0;
    for (int t = 0; t < whole->plan->n_steps; t++) {
        const dd_report *r = dd_report_at(whole, t);
        const dd_model *m = r->model;
        for (int i = 0; i < m->n_sites; i++) {
            const dd_cell *c = dd_plan_cell(r->plan, t, i);
            const int mlp = m->sites[i].kind == DD_SITE_MLP;
            const int runs = dd_cell_computes(c) && dd_plan_live(r->plan, m, t, i);
            sites[mlp]++;
            if (runs) units[mlp] += (double)dd_popcount64(c->units) / m->sites[i].units;
            if (runs && mlp) tokens += r->kept[(size_t)t * (size_t)m->n_sites + (size_t)i];
        }
    }
    s->heads = sites[0] ? units[0] / (double)sites[0] : 0;
    s->groups = sites[1] ? units[1] / (double)sites[1] : 0;
    s->tokens = sites[1] ? tokens / (double)sites[1] : 0;
}

dd_status dd_result_figures(const dydit_result *r, dydit_stats *s, dd_err *err)
{
    dd_executed e;
    *s = (dydit_stats){.size = sizeof *s, .images = r->n, .seconds = r->out.seconds};
    if (!r->out.rows) return DD_OK;
    const dd_status st = dd_executed_init(&e, r, err);
    for (int t = 0; t < r->plan->n_steps && st == DD_OK; t++) {
        const dd_report *at = dd_report_at(&e.part[0], t);
        const double *kept = at->kept + (size_t)t * (size_t)at->model->n_sites;
        const dd_cost c = dd_cost_step(at->plan, at->model, t, (int64_t)r->out.rows[t], kept);
        const dd_cost cond = dd_cost_cond(at->plan, at->model, t, (int64_t)r->out.labels[t]);
        s->macs_dense += (double)c.dense + (double)cond.dense;
        s->macs_executed += (double)c.executed + (double)cond.executed;
        s->forward_rows += (int64_t)r->out.rows[t];
    }
    if (st == DD_OK) add_shares(&e.part[0], s);
    dd_executed_fini(&e);
    DD_TRY(st);
    s->mac_ratio = s->macs_executed > 0 ? s->macs_dense / s->macs_executed : 0;
    s->images_per_s = s->seconds > 0 ? (double)r->n / s->seconds : 0;
    s->dense_seconds = r->out.dense_seconds;
    s->speedup = s->dense_seconds > 0 && s->seconds > 0 ? s->dense_seconds / s->seconds : 0;
    s->peak_bytes = r->weight_bytes + r->out.session_bytes;
    if (r->decoded.peak_bytes > s->peak_bytes) s->peak_bytes = r->decoded.peak_bytes;
    s->decode_seconds = r->decoded.seconds;
    s->decode_tiled = r->decoded.tiled;
    s->programs = r->out.graphs.programs;
    s->graphs = r->out.graphs.live;
    s->graph_nodes = r->out.graphs.nodes;
    s->graphs_recorded = r->out.graphs.recorded;
    return DD_OK;
}

dydit_status dydit_result_stats(const dydit_result *r, dydit_stats *stats)
{
    dydit_stats full;
    if (!r || !stats) return DYDIT_ERR_ARG;
    dd_err *err = &r->model->ctx->err;
    dd_api_begin(r->model->ctx);
    dd_status st = dd_api_options(&full, sizeof full, stats, "dydit_stats", err);
    if (st == DD_OK) st = dd_result_figures(r, &full, err);
    if (st != DD_OK) return (dydit_status)st;
    full.size = stats->size;
    memcpy(stats, &full, stats->size);
    return DYDIT_OK;
}

void dd_settings_put(json_t *o, const dd_settings *s)
{
    char seed[32];
    json_object_set_new(o, "sampler", json_string(s->sampler));
    json_object_set_new(o, "steps", json_string(s->steps));
    json_object_set_new(o, "eta", json_real(s->eta));
    json_object_set_new(o, "cfg_scale", json_real(s->cfg_scale));
    json_object_set_new(o, "cfg_channels", json_integer(s->cfg_channels));
    json_object_set_new(o, "cfg_interval", json_pack("[ii]", s->cfg_lo, s->cfg_hi));
    snprintf(seed, sizeof seed, "%" PRIu64, s->seed); /* JSON integers of the library end at 2^63 */
    json_object_set_new(o, "seed", s->seed <= INT64_MAX ? json_integer((json_int_t)s->seed) : json_string(seed));
    json_object_set_new(o, "rng", json_string(s->rng));
    json_object_set_new(o, "precision", json_string(s->precision));
    if (s->cache_dtype[0]) json_object_set_new(o, "cache_dtype", json_string(s->cache_dtype));
}

static json_t *report_settings(const dydit_result *r)
{
    const dd_settings *s = &r->set;
    char hex[32];
    json_t *o = json_object(), *labels = json_array();
    for (int64_t i = 0; i < r->n; i++) json_array_append_new(labels, json_integer(r->labels[i]));
    dd_settings_put(o, s);
    json_object_set_new(o, "seed_mode", json_string(s->batch_mode ? "batch" : "per-image"));
    json_object_set_new(o, "batch_size", json_integer(s->batch_size));
    json_object_set_new(o, "backend", json_string(s->backend));
    json_object_set_new(o, "policy", json_string(r->plan->policy));
    snprintf(hex, sizeof hex, "%016" PRIx64, r->plan->model_id);
    json_object_set_new(o, "plan", json_string(hex));
    snprintf(hex, sizeof hex, "%016" PRIx64, dd_plan_hash(r->plan));
    json_object_set_new(o, "plan_table", json_string(hex));
    if (r->plan->other) json_object_set_new(o, "switch", dd_switch_doc(s));
    json_object_set_new(o, "labels", labels);
    return o;
}

static json_t *report_doc(const dydit_result *r, const dydit_stats *s)
{
    json_t *doc = json_object();
    json_object_set_new(doc, "schema", json_string("dydit-run"));
    json_object_set_new(doc, "schema_version", json_integer(1));
    json_object_set_new(doc, "version", json_string(dydit_version()));
    json_object_set_new(doc, "arch", json_string(r->model->m->cfg.arch));
    json_object_set_new(doc, "settings", report_settings(r));
    json_object_set_new(doc, "images", json_integer(s->images));
    json_object_set_new(doc, "seconds", json_real(s->seconds));
    json_object_set_new(doc, "images_per_s", json_real(s->images_per_s));
    json_object_set_new(doc, "forward_rows", json_integer(s->forward_rows));
    json_object_set_new(doc, "macs_dense", json_integer((json_int_t)s->macs_dense));
    json_object_set_new(doc, "macs_executed", json_integer((json_int_t)s->macs_executed));
    json_object_set_new(doc, "mac_ratio", json_real(s->mac_ratio));
    json_object_set_new(doc, "active",
                        json_pack("{sfsfsf}", "heads", s->heads, "groups", s->groups, "tokens", s->tokens));
    json_object_set_new(doc, "peak_bytes", json_integer((json_int_t)s->peak_bytes));
    json_object_set_new(doc, "graphs",
                        json_pack("{sisisisi}", "programs", s->programs, "graphs", s->graphs, "nodes", s->graph_nodes,
                                  "recorded", s->graphs_recorded));
    if (r->decoded.pictures)
        json_object_set_new(
            doc, "decode",
            json_pack("{sfsbsi}", "seconds", s->decode_seconds, "tiled", s->decode_tiled, "side", r->decoded.side));
    if (r->has_dense) {
        json_object_set_new(doc, "dense_seconds", json_real(s->dense_seconds));
        json_object_set_new(doc, "speedup", json_real(s->speedup));
        json_object_set_new(doc, "realised", json_real(s->mac_ratio > 0 ? s->speedup / s->mac_ratio : 0));
    }
    if (r->has_profile) {
        json_t *ops = json_object();
        for (int k = 0; k < DD_KIND_COUNT; k++)
            json_object_set_new(ops, dd_kind_name((dd_op_kind)k), json_real(r->profile.seconds[k]));
        json_object_set_new(doc, "profile", ops);
    }
    return doc;
}

static dd_status report_text(const dydit_result *r, const dydit_stats *s, char **text, dd_err *err)
{
    dd_str out = {0};
    char where[DD_SWITCH_TEXT];
    dd_str_addf(&out, "%lld image%s in %.2f s, %.3g images/s  (%s, %s, %s steps, guidance %g, seed %" PRIu64 ")\n",
                (long long)s->images, s->images == 1 ? "" : "s", s->seconds, s->images_per_s, r->model->m->cfg.arch,
                r->set.sampler, r->set.steps, r->set.guided ? r->set.cfg_scale : 1.0, r->set.seed);
    dd_str_addf(&out, "backend   %s, %s\n", r->set.backend, r->set.precision);
    if (s->graphs > 0)
        dd_str_addf(&out, "graphs    %d of %d nodes, recorded %d time%s\n", s->graphs, s->graph_nodes,
                    s->graphs_recorded, s->graphs_recorded == 1 ? "" : "s");
    else if (r->model->ctx->be->devices) dd_str_addf(&out, "graphs    none, steps are launched op by op\n");
    dd_str_addf(&out, "noise     %s\n", r->set.rng);
    if (r->plan->other) dd_str_addf(&out, "switch    to %s %s\n", r->plan->other->arch, dd_switch_text(&r->set, where));
    dd_str_addf(&out, "MACs      %.4g G executed, %.4g G dense-equivalent: ratio %.2f\n", s->macs_executed / 1e9,
                s->macs_dense / 1e9, s->mac_ratio);
    dd_str_addf(&out, "active    heads %.0f %%, MLP groups %.0f %%, tokens %.0f %%\n", 100 * s->heads, 100 * s->groups,
                100 * s->tokens);
    if (r->has_dense)
        dd_str_addf(&out, "dense     %.2f s in the same run: measured speed-up %.2f, %.0f %% of the MAC ratio\n",
                    s->dense_seconds, s->speedup, s->mac_ratio > 0 ? 100 * s->speedup / s->mac_ratio : 0.0);
    if (r->decoded.pictures)
        dd_str_addf(&out, "decoded   to %d x %d pixels in %.2f s, %.3g images/s%s\n", r->decoded.side, r->decoded.side,
                    s->decode_seconds, s->decode_seconds > 0 ? (double)s->images / s->decode_seconds : 0.0,
                    s->decode_tiled ? ", in tiles" : "");
    dd_str_addf(&out, "memory    %.1f MB, weights included\n", (double)s->peak_bytes / 1e6);
    return dd_str_take(&out, text, err);
}

dydit_status dydit_result_report(const dydit_result *r, dydit_format format, char **text)
{
    dydit_stats s;
    if (!r || !text) return DYDIT_ERR_ARG;
    dd_err *err = &r->model->ctx->err;
    dd_api_begin(r->model->ctx);
    *text = NULL;
    dd_status st = dd_result_figures(r, &s, err);
    if (st == DD_OK && format == DYDIT_JSON) {
        json_t *doc = report_doc(r, &s);
        st = dd_json_print(doc, text, err);
        json_decref(doc);
    } else if (st == DD_OK) {
        st = report_text(r, &s, text, err);
    }
    return (dydit_status)st;
}

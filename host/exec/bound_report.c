/* SPDX-License-Identifier: MIT
 * Tables and JSON of bounds. */
#include "host/exec/bound_report.h"

#include "host/base/str.h"
#include "host/exec/precision.h"
#include "host/io/json.h"
#include "host/plan/report.h"

#define WHAT "bound by data sheet, not a measurement"

static bool routed(const dd_bound_report *r)
{
    const dd_report other = {.plan = r->spec->plan->other};
    return dd_report_routed(&(dd_report){.plan = r->spec->plan, .other = other.plan ? &other : NULL});
}

static uint64_t bytes(const dd_work *w) { return w->weights + w->read + w->written; }

static double ratio(double a, double b) { return b > 0 ? a / b : 0; }

/* ---- text ----------------------------------------------------------------------------------------------------- */

static void add_head(dd_str *s, const dd_bound_report *r)
{
    const dd_sheet *d = r->terms->sheet;
    const dd_plan *p = r->spec->plan;
    char a[DD_NUMBER_TEXT], b[DD_NUMBER_TEXT], c[DD_NUMBER_TEXT];
    dd_str_addf(s, WHAT "\n%s, policy %s, %d step%s, batch of %d, %s\n", p->arch, p->policy, p->n_steps,
                p->n_steps == 1 ? "" : "s", r->spec->max_images, dd_precision_name(r->spec->input));
    if (p->other) dd_str_addf(s, "then %s, policy %s\n", p->other->arch, p->other->policy);
    dd_str_addf(s, "%s: %s GB/s of memory, %s TFLOPS bf16 with float32 sums, %s TFLOPS float32\n", d->product,
                dd_text_fixed(a, d->bytes_per_s / 1e9, 0), dd_text_fixed(b, d->tensor_flops / 1e12, 1),
                dd_text_fixed(c, d->fp32_flops / 1e12, 1));
    dd_str_addf(s, "assumed: %s us per kernel launch", dd_text_fixed(a, r->terms->launch_s * 1e6, 2));
    if (routed(r)) dd_str_addf(s, "; token routers keep %s", dd_text_percent(a, r->terms->tokens));
    dd_str_add(s, "\n\n");
}

static void add_side(dd_str *s, const dd_bound_sum *sum)
{
    char b[DD_NUMBER_TEXT], m[DD_NUMBER_TEXT], t[DD_NUMBER_TEXT];
    const bool any = sum->work.launches > 0;
    dd_str_addf(s, "  %7llu %8s %8s %10s %-6s", (unsigned long long)sum->work.launches,
                dd_text_macs(b, bytes(&sum->work)), dd_text_macs(m, sum->work.macs),
                dd_text_fixed(t, dd_bound_seconds(sum) * 1e3, 3), any ? dd_binder_name(dd_bound_binder(sum)) : "-");
}

static void add_line(dd_str *s, const char *name, const dd_bound_sum *dense, const dd_bound_sum *planned)
{
    dd_str_addf(s, "%-9s", name);
    add_side(s, dense);
    add_side(s, planned);
    while (s->len > 0 && !s->failed && s->data[s->len - 1] == ' ') s->data[--s->len] = '\0';
    dd_str_add(s, "\n");
}

static void add_table(dd_str *s, const dd_bound_report *r)
{
    static const char columns[] = "launches    bytes     MACs   bound ms binds";
    static const char rule[] = "  ------- -------- -------- ---------- ------";
    dd_str_addf(s, "%-9s  %-43s  %s\n%-9s %s  %s\n---------%s%s\n", "", "complete model", "plan", "kind", columns,
                columns, rule, rule);
    for (int k = 0; k < DD_KIND_COUNT; k++) {
        const dd_bound_sum *dense = &r->dense->kind[k], *planned = &r->planned->kind[k];
        if (dense->work.launches + planned->work.launches > 0) add_line(s, dd_kind_name((dd_op_kind)k), dense, planned);
    }
    dd_str_addf(s, "---------%s%s\n", rule, rule);
    add_line(s, "total", &r->dense->total, &r->planned->total);
}

dd_status dd_bound_text(const dd_bound_report *r, char **out, dd_err *err)
{
    const double dense = dd_bound_seconds(&r->dense->total), planned = dd_bound_seconds(&r->planned->total);
    const double images = r->spec->max_images;
    char a[DD_NUMBER_TEXT], b[DD_NUMBER_TEXT];
    dd_str s = {0};
    add_head(&s, r);
    add_table(&s, r);
    dd_str_addf(&s, "\nbound of images per second: %s complete, %s planned\n",
                dd_text_fixed(a, ratio(images, dense), 2), dd_text_fixed(b, ratio(images, planned), 2));
    dd_str_addf(&s, "complete / planned: bound %s, MACs %s\n", dd_text_fixed(a, ratio(dense, planned), 2),
                dd_text_fixed(b, ratio((double)r->dense->total.work.macs, (double)r->planned->total.work.macs), 2));
    dd_str_add(&s,
               "every op reads its operands from memory once and writes its results once; caches are not counted\n");
    if (routed(r) && r->terms->tokens >= 1)
        dd_str_add(&s, "token routing is decided on the data: the plan counts all tokens; see --tokens\n");
    return dd_str_take(&s, out, err);
}

/* ---- JSON ----------------------------------------------------------------------------------------------------- */

static json_t *sum_doc(const dd_bound_sum *s)
{
    const dd_work *w = &s->work;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:s}", "launches", (json_int_t)w->launches, "weight_bytes",
                     (json_int_t)w->weights, "read_bytes", (json_int_t)w->read, "written_bytes", (json_int_t)w->written,
                     "macs", (json_int_t)w->macs, "bound_s", dd_bound_seconds(s), "binds",
                     dd_binder_name(dd_bound_binder(s)));
}

static json_t *side_doc(const dd_bound *b, int images)
{
    json_t *kinds = json_object(), *doc = sum_doc(&b->total);
    for (int k = 0; k < DD_KIND_COUNT; k++)
        if (b->kind[k].work.launches > 0) json_object_set_new(kinds, dd_kind_name((dd_op_kind)k), sum_doc(&b->kind[k]));
    json_object_set_new(doc, "images_per_s_bound", json_real(ratio(images, dd_bound_seconds(&b->total))));
    json_object_set_new(doc, "kinds", kinds);
    return doc;
}

static json_t *device_doc(const dd_sheet *d)
{
    return json_pack("{s:s, s:s, s:f, s:f, s:f, s:i, s:f}", "name", d->name, "product", d->product,
                     "memory_bytes_per_s", d->bytes_per_s, "bf16_tensor_flops", d->tensor_flops, "fp32_flops",
                     d->fp32_flops, "sms", d->sms, "memory_bytes", d->memory_bytes);
}

dd_status dd_bound_json(const dd_bound_report *r, char **out, dd_err *err)
{
    const dd_work *dense = &r->dense->total.work, *planned = &r->planned->total.work;
    json_t *doc = json_object();
    json_object_set_new(doc, "schema", json_string("dydit-bound"));
    json_object_set_new(doc, "schema_version", json_integer(1));
    json_object_set_new(doc, "what", json_string(WHAT));
    json_object_set_new(doc, "arch", json_string(r->spec->plan->arch));
    json_object_set_new(doc, "policy", json_string(r->spec->plan->policy));
    if (r->spec->plan->other) json_object_set_new(doc, "then", json_string(r->spec->plan->other->arch));
    json_object_set_new(doc, "steps", json_integer(r->spec->plan->n_steps));
    json_object_set_new(doc, "batch_size", json_integer(r->spec->max_images));
    json_object_set_new(doc, "precision", json_string(dd_precision_name(r->spec->input)));
    json_object_set_new(doc, "device", device_doc(r->terms->sheet));
    json_object_set_new(doc, "assumed",
                        json_pack("{s:f, s:f}", "launch_us", r->terms->launch_s * 1e6, "tokens", r->terms->tokens));
    json_object_set_new(doc, "dense", side_doc(r->dense, r->spec->max_images));
    json_object_set_new(doc, "planned", side_doc(r->planned, r->spec->max_images));
    json_object_set_new(doc, "dense_over_planned",
                        json_pack("{s:f, s:f}", "bound",
                                  ratio(dd_bound_seconds(&r->dense->total), dd_bound_seconds(&r->planned->total)),
                                  "macs", ratio((double)dense->macs, (double)planned->macs)));
    const dd_status st = dd_json_print(doc, out, err);
    json_decref(doc);
    return st;
}

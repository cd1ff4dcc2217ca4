/* SPDX-License-Identifier: MIT
 * The report of a search (schema: docs/search.md). */
#include "host/api_search.h"
#include "host/io/json.h"
#include "host/plan/report.h"

static json_t *point(const dd_search_point *p)
{
    json_t *o = json_object();
    if (p->interval) json_object_set_new(o, "interval", json_integer(p->interval));
    else json_object_set_new(o, "budget", json_real(p->budget));
    json_object_set_new(o, "ratio", json_real(p->ratio));
    json_object_set_new(o, "error", json_real(p->error));
    return o;
}

static json_t *points(const dd_search_point *p, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(list, point(&p[i]));
    return list;
}

dd_status dd_search_report(const dd_search *s, char **text)
{
    json_t *doc = json_object(), *settings = json_object();
    json_t *labels = json_array();
    const double start = (s->fixed + (double)dd_search_macs(s->table, NULL)) / s->dense;
    for (int64_t i = 0; i < s->o.n_images; i++) json_array_append_new(labels, json_integer(s->o.labels[i]));
    dd_settings_put(settings, &s->set);
    json_object_set_new(settings, "labels", labels);
    json_object_set_new(doc, "schema", json_string("dydit-search"));
    json_object_set_new(doc, "schema_version", json_integer(1));
    json_object_set_new(doc, "arch", json_string(s->start->arch));
    json_object_set_new(doc, "policy", json_string(s->start->policy));
    json_object_set_new(doc, "settings", settings);
    json_object_set_new(doc, "forward_passes", json_integer((json_int_t)s->passes));
    json_object_set_new(doc, "start_ratio", json_real(start));
    json_object_set_new(doc, "least_ratio", json_real(s->least));
    json_object_set_new(doc, "chosen", point(&s->chosen));
    json_object_set_new(doc, "search", points(s->curve, s->n_curve));
    json_object_set_new(doc, "fora", points(s->fora, s->n_fora));
    const dd_status st = dd_json_print(doc, text, s->err);
    json_decref(doc);
    return st;
}

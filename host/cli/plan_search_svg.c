/* SPDX-License-Identifier: MIT
 * Error over cost of searched plans, and of FORA's on the same pictures. The error has a logarithmic axis. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/plan.h"
#include "cli/svg.h"

#define WIDTH 720
#define HEIGHT 520
#define LEFT 84.0
#define TOP 96.0
#define PLOT_WIDTH 600.0
#define PLOT_HEIGHT 340.0
#define MUTED "fill=\"" SVG_MUTED "\""
#define SEARCH "#2a6aa9"
#define FORA "#b4481e"

typedef struct plot {
    FILE *f;
    double right;          /* cost there */
    double floor, decades; /* logarithm of the error at the bottom; how many powers of ten there are above */
} plot;

static double number(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

static double at_x(const plot *p, double ratio) { return LEFT + PLOT_WIDTH * ratio / p->right; }

static double at_y(const plot *p, double error)
{
    return TOP + PLOT_HEIGHT * (1 - (log10(error) - p->floor) / p->decades);
}

static void widen(const json_t *point, double *least, double *most)
{
    const double e = number(point, "error");
    if (!(e > 0)) return; /* it has no place on a logarithmic axis */
    *least = e < *least ? e : *least;
    *most = e > *most ? e : *most;
}

static void find_ranges(plot *p, const json_t *report)
{
    double least = 1, most = 1e-12;
    const char *const lists[] = {"search", "fora"};
    for (int k = 0; k < 2; k++) {
        const json_t *list = json_object_get(report, lists[k]);
        for (size_t i = 0; i < json_array_size(list); i++) widen(json_array_get(list, i), &least, &most);
    }
    widen(json_object_get(report, "chosen"), &least, &most);
    p->floor = floor(log10(least));
    p->decades = fmax(ceil(log10(most)) - p->floor, 1);
    p->right = fmax(number(report, "start_ratio"), 0.1);
}

static void axes(const plot *p)
{
    char text[32];
    const double step = svg_tick(p->right, 6);
    for (double v = 0; v <= p->right * 1.0001; v += step) {
        snprintf(text, sizeof text, "%g", v);
        svg_line(p->f, at_x(p, v), TOP, at_x(p, v), TOP + PLOT_HEIGHT, "stroke=\"#e6eaee\"");
        svg_text(p->f, at_x(p, v), TOP + PLOT_HEIGHT + 18, "text-anchor=\"middle\" " MUTED, text);
    }
    for (int i = 0; i <= (int)p->decades; i++) {
        const double y = TOP + PLOT_HEIGHT * (1 - i / p->decades);
        snprintf(text, sizeof text, "1e%.0f", p->floor + i);
        svg_line(p->f, LEFT, y, LEFT + PLOT_WIDTH, y, "stroke=\"#e6eaee\"");
        svg_text(p->f, LEFT - 8, y + 4, "text-anchor=\"end\" " MUTED, text);
    }
    svg_text(p->f, LEFT, TOP - 12, MUTED, "squared difference of the latents, over their square");
    svg_text(p->f, LEFT + PLOT_WIDTH / 2, TOP + PLOT_HEIGHT + 40, "text-anchor=\"middle\" " MUTED,
             "executed over dense multiply-adds, conditioning not counted");
}

/* Points in order of the list, joined. */
static void curve(const plot *p, const json_t *list, const char *colour, const char *name)
{
    char tip[96], style[64];
    double x = 0, y = 0;
    snprintf(style, sizeof style, "stroke=\"%s\" stroke-width=\"1.5\"", colour);
    for (size_t i = 0, n = 0; i < json_array_size(list); i++) {
        const json_t *point = json_array_get(list, i);
        const double ratio = number(point, "ratio"), error = number(point, "error");
        if (!(error > 0)) continue;
        if (n++ > 0) svg_line(p->f, x, y, at_x(p, ratio), at_y(p, error), style);
        x = at_x(p, ratio);
        y = at_y(p, error);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *point = json_array_get(list, i), *interval = json_object_get(point, "interval");
        const double ratio = number(point, "ratio"), error = number(point, "error");
        if (!(error > 0)) continue;
        if (interval)
            snprintf(tip, sizeof tip, "%s, interval %.0f: cost %.3f, error %.3g", name, json_number_value(interval),
                     ratio, error);
        else snprintf(tip, sizeof tip, "%s: cost %.3f, error %.3g", name, ratio, error);
        svg_dot(p->f, at_x(p, ratio), at_y(p, error), colour, tip);
    }
}

static void title(const plot *p, const json_t *report)
{
    char text[256];
    const json_t *arch = json_object_get(report, "arch"), *policy = json_object_get(report, "policy");
    snprintf(text, sizeof text, "%.80s, plan %.60s", json_is_string(arch) ? json_string_value(arch) : "",
             json_is_string(policy) ? json_string_value(policy) : "");
    svg_text(p->f, LEFT, 36, "font-size=\"18\" font-weight=\"700\"", text);
    svg_dot(p->f, LEFT + 4, 56, SEARCH, NULL);
    svg_text(p->f, LEFT + 16, 60, "", "searched");
    svg_dot(p->f, LEFT + 104, 56, FORA, NULL);
    svg_text(p->f, LEFT + 116, 60, "", "FORA, intervals 2 to 6");
    svg_line(p->f, LEFT + 280, 50, LEFT + 280, 62, "stroke=\"" SVG_INK "\" stroke-dasharray=\"4 3\"");
    svg_text(p->f, LEFT + 290, 60, "", "the plan that was asked for");
}

char *plan_search_svg(const json_t *report)
{
    char *text = NULL;
    size_t size = 0;
    plot p = {.f = open_memstream(&text, &size)};
    if (!p.f) return NULL;
    find_ranges(&p, report);
    const json_t *chosen = json_object_get(report, "chosen");
    const double x = at_x(&p, number(chosen, "ratio"));
    svg_begin(p.f, WIDTH, HEIGHT, "Error over cost of plans that reuse branches");
    title(&p, report);
    axes(&p);
    svg_line(p.f, x, TOP, x, TOP + PLOT_HEIGHT, "stroke=\"" SVG_INK "\" stroke-dasharray=\"4 3\"");
    curve(&p, json_object_get(report, "fora"), FORA, "FORA");
    curve(&p, json_object_get(report, "search"), SEARCH, "searched");
    if (number(chosen, "error") > 0)
        svg_dot(p.f, x, at_y(&p, number(chosen, "error")), SVG_INK, "the plan that was asked for");
    svg_end(p.f);
    return fclose(p.f) == 0 ? text : NULL;
}

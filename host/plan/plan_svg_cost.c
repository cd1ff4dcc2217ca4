/* SPDX-License-Identifier: MIT
 * Cost of every step in the plan's picture: executed over dense MACs, the run's mean, and where guidance is on. */
#include <math.h>
#include <stdio.h>

#include "host/plan/plan_svg.h"

#define PLOT_H 140
#define ACCENT "#b4481e"

typedef struct chart {
    dd_svg *g;
    double y, top; /* y of the plot; share at its upper edge */
} chart;

static double share_y(const chart *c, double share) { return c->y + PLOT_H * (1 - share / c->top); }

static double step_share(const dd_svg *g, int step) { return dd_cost_ratio(dd_report_cost(&g->r, step)); }

static double highest_share(const dd_svg *g)
{
    double top = 1;
    for (int s = 0; s < g->r.plan->n_steps; s++) top = fmax(top, step_share(g, s));
    return top;
}

static bool same_cost(const dd_svg *g, int a, int b)
{
    const dd_cost ca = dd_report_cost(&g->r, a), cb = dd_report_cost(&g->r, b);
    return ca.dense == cb.dense && ca.executed == cb.executed;
}

static void add_bars(const chart *c)
{
    dd_svg *g = c->g;
    const int n = g->r.plan->n_steps;
    dd_str_add(&g->s, "<g shape-rendering=\"crispEdges\">\n");
    for (int first = 0, last; first < n; first = last + 1) {
        for (last = first; last + 1 < n && same_cost(g, first, last + 1);) last++;
        char when[2 * DD_NUMBER_TEXT + 8], executed[DD_NUMBER_TEXT], dense[DD_NUMBER_TEXT], ratio[DD_NUMBER_TEXT];
        char tip[256];
        const dd_cost cost = dd_report_cost(&g->r, first);
        const double x = dd_svg_step_x(g, first), y = share_y(c, dd_cost_ratio(cost));
        dd_svg_steps_text(g, first, last, when, sizeof when);
        snprintf(tip, sizeof tip, "%s: %sMAC of %sMAC, %s%s", when, dd_text_macs(executed, cost.executed),
                 dd_text_macs(dense, cost.dense), dd_text_percent(ratio, dd_cost_ratio(cost)),
                 g->r.plan->rows[first].guided ? ", guided" : "");
        dd_svg_rect(&g->s, (dd_svg_box){x, y, dd_svg_step_x(g, last + 1) - x, c->y + PLOT_H - y}, "#b9d2e8", tip);
    }
    dd_str_add(&g->s, "</g>\n");
}

/* Upper edge of the bars as one line. */
static void add_outline(const chart *c)
{
    dd_svg *g = c->g;
    double before = -1;
    dd_str_add(&g->s, "<path fill=\"none\" stroke=\"#2a6aa9\" stroke-width=\"1.5\" stroke-linejoin=\"round\" "
                      "pointer-events=\"none\" d=\"");
    for (int s = 0; s <= g->r.plan->n_steps; s++) {
        const double y = s < g->r.plan->n_steps ? share_y(c, step_share(g, s)) : -1;
        if (y == before) continue;
        dd_str_add(&g->s, s == 0 ? "M" : "H");
        dd_svg_num(&g->s, dd_svg_step_x(g, s));
        if (y >= 0) {
            dd_str_add(&g->s, s == 0 ? " " : "V");
            dd_svg_num(&g->s, y);
        }
        before = y;
    }
    dd_str_add(&g->s, "\"/>\n");
}

static void add_grid(const chart *c)
{
    dd_str *s = &c->g->s;
    for (int percent = 0; percent <= 100; percent += 25) {
        char text[DD_NUMBER_TEXT];
        const double y = share_y(c, percent / 100.0);
        snprintf(text, sizeof text, "%d %%", percent);
        if (percent > 0 && percent < 100)
            dd_svg_line(s, DD_SVG_X, y, DD_SVG_X + DD_SVG_W, y, "stroke=\"#e6eaee\" shape-rendering=\"crispEdges\"");
        dd_svg_text(s, DD_SVG_X - 8, y + 4, "font-size=\"11\" text-anchor=\"end\" fill=\"" DD_SVG_MUTED "\"", text);
    }
}

static void add_levels(const chart *c)
{
    dd_svg *g = c->g;
    char percent[DD_NUMBER_TEXT], text[DD_NUMBER_TEXT + 8];
    const double mean = dd_cost_ratio(dd_report_cost_run(&g->r)), right = DD_SVG_X + DD_SVG_W;
    const double dense_y = share_y(c, 1), mean_y = share_y(c, mean);
    /* a mean close to 100 % must not write over the other label */
    const double label_y = mean <= 1 ? fmax(mean_y, dense_y + 16) : fmin(mean_y, dense_y - 16);
    dd_svg_line(&g->s, DD_SVG_X, dense_y, right + 6, dense_y, "stroke=\"" DD_SVG_INK "\" pointer-events=\"none\"");
    dd_svg_text(&g->s, right + 10, dense_y + 4, "font-size=\"12\"", "dense 100 %");
    dd_svg_line(&g->s, DD_SVG_X, mean_y, right + 6, mean_y,
                "stroke=\"" ACCENT "\" stroke-width=\"1.5\" stroke-dasharray=\"6 4\" pointer-events=\"none\"");
    snprintf(text, sizeof text, "mean %s", dd_text_percent(percent, mean));
    dd_svg_text(&g->s, right + 10, label_y + 4, "font-size=\"12\" font-weight=\"600\" fill=\"" ACCENT "\"", text);
}

/* Thin strip below the plot; only where guidance is on for some steps and off for others. Returns its height. */
static double add_guidance(const chart *c)
{
    dd_svg *g = c->g;
    const dd_plan_row *rows = g->r.plan->rows;
    const int n = g->r.plan->n_steps;
    const double y = c->y + PLOT_H + 6;
    bool mixed = false;
    for (int s = 1; s < n; s++) mixed = mixed || rows[s].guided != rows[0].guided;
    if (!mixed) return 0;
    dd_str_add(&g->s, "<g shape-rendering=\"crispEdges\">\n");
    for (int first = 0, last; first < n; first = last + 1) {
        for (last = first; last + 1 < n && rows[last + 1].guided == rows[first].guided;) last++;
        char when[2 * DD_NUMBER_TEXT + 8], tip[128];
        const double x = dd_svg_step_x(g, first);
        dd_svg_steps_text(g, first, last, when, sizeof when);
        snprintf(tip, sizeof tip, "%s: guidance %s", when,
                 rows[first].guided ? "on, two rows per image" : "off, one row");
        dd_svg_rect(&g->s, (dd_svg_box){x, y, dd_svg_step_x(g, last + 1) - x, 7},
                    rows[first].guided ? "#7a5ea8" : "#e8e4f0", tip);
    }
    dd_str_add(&g->s, "</g>\n");
    dd_svg_text(&g->s, DD_SVG_X + DD_SVG_W + 10, y + 7, "font-size=\"12\" fill=\"#6a4f98\"", "guidance");
    return 15;
}

void dd_svg_cost(dd_svg *g)
{
    chart c = {g, g->y + 26, 1.08 * highest_share(g)};
    dd_svg_text(&g->s, DD_SVG_X, g->y + 15, "font-size=\"14\" font-weight=\"600\"", "Executed multiply-adds per step");
    add_grid(&c);
    add_bars(&c);
    add_outline(&c);
    add_levels(&c);
    dd_svg_line(&g->s, DD_SVG_X, c.y + PLOT_H, DD_SVG_X + DD_SVG_W, c.y + PLOT_H,
                "stroke=\"" DD_SVG_MUTED "\" shape-rendering=\"crispEdges\"");
    const double bottom = c.y + PLOT_H + add_guidance(&c);
    dd_svg_step_axis(g, bottom);
    const char *const style = "font-size=\"12\" fill=\"" DD_SVG_MUTED "\"";
    dd_svg_text(&g->s, DD_SVG_X, bottom + 38, style, "\xe2\x86\x90 noise");
    dd_svg_text(&g->s, DD_SVG_X + DD_SVG_W / 2.0, bottom + 38,
                "font-size=\"12\" text-anchor=\"middle\" fill=\"" DD_SVG_MUTED "\"", "timestep of each sampling step");
    dd_svg_text(&g->s, DD_SVG_X + DD_SVG_W, bottom + 38,
                "font-size=\"12\" text-anchor=\"end\" fill=\"" DD_SVG_MUTED "\"", "picture \xe2\x86\x92");
    g->y = bottom + 46;
}

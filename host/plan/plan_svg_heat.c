/* SPDX-License-Identifier: MIT
 * Heat maps of the plan's picture: share of active heads, channel groups or tokens per step and block, and beside each
 * block its mean over the steps. */
#include <math.h>
#include <stdio.h>

#include "host/plan/plan_svg.h"

#define MEAN_W 76 /* pixels of 100 % in the bars of means */

/* What decides the looks of a cell; neighbours with equal looks become one mark. */
typedef struct look {
    enum { LOOK_NONE, LOOK_SHARE, LOOK_REUSED, LOOK_SKIPPED } kind;
    int part, of; /* units; of 100 where tokens are shown */
} look;

typedef struct panel {
    dd_svg *g;
    dd_quantity what;
    double y, row_h, gap; /* gap: free pixels between blocks */
} panel;

static look cell_look(const panel *p, int step, int block)
{
    const dd_tally t = dd_report_tally(&p->g->r, p->what, step, block);
    if (t.sites == 0) return (look){LOOK_NONE, 0, 0};
    if (t.computed == 0) return (look){t.reused > 0 ? LOOK_REUSED : LOOK_SKIPPED, 0, 0};
    if (p->what != DD_TOKENS) return (look){LOOK_SHARE, t.active, t.total};
    return (look){LOOK_SHARE, (int)lround(100 * dd_tally_share(&t, DD_TOKENS)), 100};
}

static void look_text(const panel *p, look l, char *text, size_t size)
{
    static const char *const noun[] = {"heads", "channel groups", "tokens"};
    if (l.kind != LOOK_SHARE) snprintf(text, size, "%s", l.kind == LOOK_REUSED ? "result reused" : "skipped");
    else if (p->what == DD_TOKENS) snprintf(text, size, "%d %% of the tokens", l.part);
    else snprintf(text, size, "%d of %d %s", l.part, l.of, noun[p->what]);
}

static void add_run(const panel *p, int block, int first, int last, look l)
{
    dd_svg *g = p->g;
    char when[2 * DD_NUMBER_TEXT + 8], content[64], tip[192];
    if (l.kind == LOOK_NONE) return;
    dd_svg_steps_text(g, first, last, when, sizeof when);
    look_text(p, l, content, sizeof content);
    snprintf(tip, sizeof tip, "%s, block %d: %s", when, block, content);
    const double x = dd_svg_step_x(g, first);
    const dd_svg_box box = {x, p->y + block * p->row_h, dd_svg_step_x(g, last + 1) - x, p->row_h - p->gap};
    const dd_svg_colour c = dd_svg_ramp(l.of > 0 ? (double)l.part / l.of : 0);
    dd_svg_rect(&g->s, box,
                l.kind == LOOK_SHARE    ? c.text
                : l.kind == LOOK_REUSED ? DD_SVG_REUSED
                                        : DD_SVG_SKIPPED,
                tip);
}

static void add_block(const panel *p, int block)
{
    const int n = p->g->r.plan->n_steps;
    int first = 0;
    look l = cell_look(p, 0, block);
    for (int step = 1; step <= n; step++) {
        const look next = step < n ? cell_look(p, step, block) : (look){LOOK_NONE, -1, -1};
        if (next.kind == l.kind && next.part == l.part && next.of == l.of) continue;
        add_run(p, block, first, step - 1, l);
        first = step;
        l = next;
    }
}

/* Over all steps. */
static dd_tally tally_run(const dd_svg *g, dd_quantity what, int block)
{
    dd_tally sum = {0};
    for (int step = 0; step < g->r.plan->n_steps; step++) {
        const dd_tally t = dd_report_tally(&g->r, what, step, block);
        sum.sites += t.sites;
        sum.active += t.active;
        sum.total += t.total;
        sum.computed += t.computed;
        sum.tokens += t.tokens;
    }
    return sum;
}

/* Mean share over all steps. Sites that do not run count as 0, except for tokens: those have no router then. */
static double mean_share(const panel *p, int block)
{
    const dd_tally sum = tally_run(p->g, p->what, block);
    return dd_tally_share(&sum, p->what);
}

static void add_means(const panel *p)
{
    dd_str *s = &p->g->s;
    const double h = p->row_h - p->gap;
    for (int b = 0; b < p->g->n_blocks; b++) {
        const dd_tally t = tally_run(p->g, p->what, b);
        const double mean = mean_share(p, b), y = p->y + b * p->row_h;
        char percent[DD_NUMBER_TEXT], tip[96];
        if (t.sites == 0) continue;
        snprintf(tip, sizeof tip, "block %d: %s on average", b, dd_text_percent(percent, mean));
        dd_svg_rect(s, (dd_svg_box){DD_SVG_SIDE, y, MEAN_W, h}, "#eef1f4", tip);
        if (mean > 0) dd_svg_rect(s, (dd_svg_box){DD_SVG_SIDE, y, MEAN_W * mean, h}, "#7fa3c7", tip);
    }
}

static void add_block_axis(const panel *p)
{
    static const int strides[] = {1, 2, 4, 5, 8, 10, 16, 20};
    dd_svg *g = p->g;
    int k = 0;
    while (k < 7 && strides[k] * p->row_h < 14) k++;
    dd_str_add(&g->s, "<g font-size=\"11\" text-anchor=\"end\" fill=\"" DD_SVG_MUTED "\">\n");
    for (int b = 0; b < g->n_blocks; b += strides[k]) {
        char text[DD_NUMBER_TEXT];
        const double y = p->y + (b + 0.5) * p->row_h - p->gap / 2;
        snprintf(text, sizeof text, "%d", b);
        dd_svg_line(&g->s, DD_SVG_X - 6, y, DD_SVG_X - 2, y, "stroke=\"" DD_SVG_MUTED "\"");
        dd_svg_text(&g->s, DD_SVG_X - 10, y + 4, "", text);
    }
    const double middle = p->y + g->n_blocks * p->row_h / 2;
    dd_str_add(&g->s, "<text text-anchor=\"middle\" transform=\"translate(34 ");
    dd_svg_num(&g->s, middle);
    dd_str_add(&g->s, ") rotate(-90)\">block</text>\n</g>\n");
}

/* Where the weights become others. */
static void add_switches(const panel *p, double height)
{
    const dd_svg *g = p->g;
    for (int s = 1; s < g->r.plan->n_steps; s++) {
        const double x = dd_svg_step_x(g, s);
        if (g->r.plan->rows[s].weight_set == g->r.plan->rows[s - 1].weight_set) continue;
        dd_svg_line(&p->g->s, x, p->y - 4, x, p->y + height + 4,
                    "stroke=\"#b4481e\" stroke-width=\"1.5\" pointer-events=\"none\"");
    }
}

static double row_height(int n_blocks)
{
    const double h = floor(200.0 / n_blocks);
    return h > 22 ? 22 : h < 5 ? 5 : h;
}

void dd_svg_heat(dd_svg *g, dd_quantity what)
{
    static const char *const title[] = {"Attention heads", "MLP channel groups", "Tokens kept for the MLP"};
    char text[64], percent[DD_NUMBER_TEXT];
    if (tally_run(g, what, -1).sites == 0) return;
    panel p = {.g = g, .what = what, .y = g->y + 26, .row_h = row_height(g->n_blocks)};
    p.gap = p.row_h >= 6 ? 1 : 0;
    const double h = p.row_h * g->n_blocks;
    dd_svg_text(&g->s, DD_SVG_X, g->y + 15, "font-size=\"14\" font-weight=\"600\"", title[what]);
    snprintf(text, sizeof text, "%s %s on average", dd_text_percent(percent, mean_share(&p, -1)),
             what == DD_TOKENS ? "kept" : "active");
    dd_svg_text(&g->s, DD_SVG_X + DD_SVG_W, g->y + 15, "font-size=\"12\" text-anchor=\"end\" fill=\"" DD_SVG_MUTED "\"",
                text);
    dd_svg_text(&g->s, DD_SVG_SIDE, g->y + 15, "font-size=\"12\" fill=\"" DD_SVG_MUTED "\"", "block mean");
    dd_str_add(&g->s, "<g shape-rendering=\"crispEdges\">\n");
    for (int b = 0; b < g->n_blocks; b++) add_block(&p, b);
    add_means(&p);
    dd_str_add(&g->s, "</g>\n");
    add_switches(&p, h);
    dd_svg_frame(&g->s, (dd_svg_box){DD_SVG_X, p.y, DD_SVG_W, h - p.gap});
    add_block_axis(&p);
    dd_svg_step_axis(g, p.y + h);
    g->y = p.y + h + 40;
}

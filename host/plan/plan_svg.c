/* SPDX-License-Identifier: MIT
 * A plan as a picture: heat maps of what runs per timestep and block, and the cost of every step. One SVG without
 * scripts, fonts or links; the background is drawn, so that it reads the same on light and dark pages. */
#include "host/plan/plan_svg.h"

#include <stdio.h>

#include "host/plan/plan_report.h"

#define LEGEND_W 160

/* Of the deepest model. */
static int block_count(const dd_report *r)
{
    int n = r->other ? block_count(r->other) : 1;
    for (int i = 0; i < r->model->n_sites; i++)
        if (r->model->sites[i].block >= n) n = r->model->sites[i].block + 1;
    return n;
}

static bool has_op(const dd_plan *p, int from, int to)
{
    const int64_t n = (int64_t)p->n_steps * p->n_sites;
    for (int64_t i = 0; i < n; i++)
        if (p->cells[i].op >= from && p->cells[i].op <= to) return true;
    return p->other && has_op(p->other, from, to);
}

static void add_summary(dd_svg *g)
{
    const dd_plan *p = g->r.plan;
    int guided = 0;
    for (int s = 0; s < p->n_steps; s++) guided += p->rows[s].guided;
    char text[256], dense[DD_NUMBER_TEXT], executed[DD_NUMBER_TEXT], ratio[DD_NUMBER_TEXT], guidance[48];
    const dd_cost run = dd_report_cost_run(&g->r);
    if (guided == 0) snprintf(guidance, sizeof guidance, "no guidance");
    else if (guided == p->n_steps) snprintf(guidance, sizeof guidance, "guidance at every step");
    else snprintf(guidance, sizeof guidance, "guidance at %d steps", guided);
    snprintf(text, sizeof text, "%d block%s, %d step%s, %s. Per image %sMAC of %sMAC: %s of the dense model.",
             g->n_blocks, g->n_blocks == 1 ? "" : "s", p->n_steps, p->n_steps == 1 ? "" : "s", guidance,
             dd_text_macs(executed, run.executed), dd_text_macs(dense, run.dense),
             dd_text_percent(ratio, dd_cost_ratio(run)));
    dd_svg_text(&g->s, DD_SVG_X, 64, "font-size=\"13\" fill=\"" DD_SVG_MUTED "\"", text);
}

static void add_swatch(dd_svg *g, double *x, const char *fill, const char *text)
{
    dd_svg_box box = {*x, 84, 16, 12};
    dd_svg_rect(&g->s, box, fill, NULL);
    dd_svg_frame(&g->s, box);
    dd_svg_text(&g->s, *x + 24, 95, "font-size=\"12\" fill=\"" DD_SVG_MUTED "\"", text);
    *x += 120;
}

static void add_legend(dd_svg *g)
{
    const char *const style = "font-size=\"12\" fill=\"" DD_SVG_MUTED "\"";
    double x = DD_SVG_X;
    dd_svg_text(&g->s, x, 95, style, g->r.kept ? "share that runs" : "active units");
    x += g->r.kept ? 100 : 80;
    dd_svg_text(&g->s, x + 26, 95, "font-size=\"12\" text-anchor=\"end\" fill=\"" DD_SVG_MUTED "\"", "0 %");
    x += 34;
    const dd_svg_box bar = {x, 84, LEGEND_W, 12};
    dd_svg_rect(&g->s, bar, "url(#dd-ramp)", NULL);
    dd_svg_frame(&g->s, bar);
    dd_svg_text(&g->s, x + LEGEND_W + 8, 95, style, "100 %");
    x += LEGEND_W + 76;
    if (has_op(g->r.plan, DD_CELL_REUSE_BRANCH, DD_CELL_REUSE_OUTPUT))
        add_swatch(g, &x, DD_SVG_REUSED, "result reused");
    if (has_op(g->r.plan, DD_CELL_SKIP, DD_CELL_SKIP)) add_swatch(g, &x, DD_SVG_SKIPPED, "skipped");
}

static void add_defs(dd_str *s)
{
    dd_str_add(s, "<defs>\n<linearGradient id=\"dd-ramp\">");
    for (int i = 0; i < DD_SVG_RAMP_STOPS; i++) {
        const double at = (double)i / (DD_SVG_RAMP_STOPS - 1);
        dd_str_add(s, "<stop");
        dd_svg_attr(s, "offset", at);
        dd_str_addf(s, " stop-color=\"%s\"/>", dd_svg_ramp(at).text);
    }
    dd_str_add(s, "</linearGradient>\n"
                  "<pattern id=\"dd-reused\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" "
                  "patternTransform=\"rotate(45)\"><rect width=\"5\" height=\"5\" fill=\"#f4efe4\"/>"
                  "<rect width=\"1.5\" height=\"5\" fill=\"#c3ab74\"/></pattern>\n</defs>\n");
}

static void add_body(dd_svg *g)
{
    const dd_plan *p = g->r.plan;
    char title[320], style[64], size[DD_NUMBER_TEXT];
    const int length = p->other ? snprintf(title, sizeof title, "%s, policy %s; then %s, policy %s", p->arch, p->policy,
                                           p->other->arch, p->other->policy)
                                : snprintf(title, sizeof title, "%s, policy %s", p->arch, p->policy);
    dd_text_fixed(size, length > 60 ? 20 * 60.0 / length : 20, 1); /* names of any length stay inside */
    snprintf(style, sizeof style, "font-size=\"%s\" font-weight=\"700\"", size);
    dd_svg_text(&g->s, DD_SVG_X, 40, style, title);
    add_summary(g);
    add_legend(g);
    g->y = 118;
    dd_svg_heat(g, DD_HEADS);
    dd_svg_heat(g, DD_GROUPS);
    if (g->r.kept) dd_svg_heat(g, DD_TOKENS);
    dd_svg_cost(g);
    if (!g->r.kept && dd_report_routed(&g->r)) {
        dd_svg_text(&g->s, DD_SVG_X, g->y + 16, "font-size=\"12\" fill=\"" DD_SVG_MUTED "\"",
                    "Token routing is decided on the data: costs count all tokens of routed sites (upper bound).");
        g->y += 22;
    }
    g->y += 20;
}

/* The height is known last, so the head is written in front of a finished body. */
static void add_document(dd_str *s, const dd_svg *g)
{
    dd_str_addf(s, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\"", DD_SVG_WIDTH);
    dd_svg_attr(s, "height", g->y);
    dd_str_addf(s, " viewBox=\"0 0 %d ", DD_SVG_WIDTH);
    dd_svg_num(s, g->y);
    dd_str_add(s,
               "\" font-family=\"system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif\" "
               "fill=\"" DD_SVG_INK "\" role=\"img\">\n<desc>Step plan of ");
    dd_str_add_xml(s, g->r.plan->arch);
    dd_str_add(s, ": what runs per timestep and block, and what every step costs.</desc>\n");
    add_defs(s);
    dd_str_add(s, "<rect x=\"0.5\" y=\"0.5\"");
    dd_svg_attr(s, "width", DD_SVG_WIDTH - 1);
    dd_svg_attr(s, "height", g->y - 1);
    dd_str_add(s, " rx=\"8\" fill=\"#ffffff\" stroke=\"#dfe4e9\"/>\n");
    if (g->s.data) dd_str_add(s, g->s.data);
    dd_str_add(s, "</svg>\n");
}

dd_status dd_plan_svg(const dd_report *r, char **out, dd_err *err)
{
    dd_svg g = {.r = *r};
    dd_str s = {0};
    *out = NULL;
    DD_TRY(dd_report_check(r, err));
    g.n_blocks = block_count(r);
    add_body(&g);
    add_document(&s, &g);
    if (g.s.failed) s.failed = 1; /* a body cut short is no picture */
    dd_str_free(&g.s);
    return dd_str_take(&s, out, err);
}

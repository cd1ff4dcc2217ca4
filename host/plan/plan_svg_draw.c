/* SPDX-License-Identifier: MIT
 * Marks, colours and the time axis of the plan's picture. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/plan/plan_svg.h"

/* Lightness falls from stop to stop in about equal steps, so that order survives in grey and for any colour vision. */
static const unsigned char ramp[DD_SVG_RAMP_STOPS][3] = {
    {0xf6, 0xf9, 0xdc}, {0xdd, 0xf0, 0xc0}, {0xb4, 0xe0, 0xbb}, {0x7d, 0xcc, 0xbf}, {0x49, 0xb2, 0xc3},
    {0x2c, 0x90, 0xbe}, {0x28, 0x6b, 0xab}, {0x26, 0x48, 0x90}, {0x1a, 0x28, 0x66},
};

dd_svg_colour dd_svg_ramp(double share)
{
    const double at = (share > 0 ? share < 1 ? share : 1 : 0) * (DD_SVG_RAMP_STOPS - 1);
    const int i = at < DD_SVG_RAMP_STOPS - 2 ? (int)at : DD_SVG_RAMP_STOPS - 2;
    unsigned c[3];
    for (int k = 0; k < 3; k++) c[k] = (unsigned)lround(ramp[i][k] + (at - i) * (ramp[i + 1][k] - ramp[i][k])) & 0xffu;
    dd_svg_colour out;
    snprintf(out.text, sizeof out.text, "#%02x%02x%02x", c[0], c[1], c[2]);
    return out;
}

double dd_svg_step_x(const dd_svg *g, int step) { return DD_SVG_X + (double)DD_SVG_W * step / g->r.plan->n_steps; }

void dd_svg_num(dd_str *s, double v)
{
    char text[DD_NUMBER_TEXT];
    dd_text_fixed(text, v, 2);
    size_t n = strlen(text);
    while (text[n - 1] == '0') n--;
    if (text[n - 1] == '.') n--;
    text[n] = '\0';
    dd_str_add(s, strcmp(text, "-0") == 0 ? "0" : text);
}

void dd_svg_attr(dd_str *s, const char *name, double v)
{
    dd_str_addf(s, " %s=\"", name);
    dd_svg_num(s, v);
    dd_str_add(s, "\"");
}

static void add_box(dd_str *s, dd_svg_box b)
{
    dd_svg_attr(s, "x", b.x);
    dd_svg_attr(s, "y", b.y);
    dd_svg_attr(s, "width", b.w);
    dd_svg_attr(s, "height", b.h);
}

void dd_svg_rect(dd_str *s, dd_svg_box b, const char *fill, const char *tip)
{
    /* edges, not widths, are rounded: neighbours must meet */
    const double x0 = round(b.x * 100) / 100, x1 = round((b.x + b.w) * 100) / 100;
    dd_str_add(s, "<rect");
    add_box(s, (dd_svg_box){x0, b.y, x1 - x0, b.h});
    dd_str_addf(s, " fill=\"%s\"", fill);
    if (tip) {
        dd_str_add(s, "><title>");
        dd_str_add_xml(s, tip);
        dd_str_add(s, "</title></rect>\n");
    } else {
        dd_str_add(s, "/>\n");
    }
}

void dd_svg_frame(dd_str *s, dd_svg_box b)
{
    dd_str_add(s, "<rect");
    add_box(s, (dd_svg_box){b.x - 0.5, b.y - 0.5, b.w + 1, b.h + 1});
    dd_str_add(s, " fill=\"none\" stroke=\"" DD_SVG_LINE "\" pointer-events=\"none\"/>\n");
}

void dd_svg_text(dd_str *s, double x, double y, const char *style, const char *text)
{
    dd_str_add(s, "<text");
    dd_svg_attr(s, "x", x);
    dd_svg_attr(s, "y", y);
    dd_str_addf(s, "%s%s>", *style ? " " : "", style);
    dd_str_add_xml(s, text);
    dd_str_add(s, "</text>\n");
}

void dd_svg_line(dd_str *s, double x0, double y0, double x1, double y1, const char *style)
{
    dd_str_add(s, "<line");
    dd_svg_attr(s, "x1", x0);
    dd_svg_attr(s, "y1", y0);
    dd_svg_attr(s, "x2", x1);
    dd_svg_attr(s, "y2", y1);
    dd_str_addf(s, " %s/>\n", style);
}

static void add_step_tick(dd_svg *g, int step, double y)
{
    char text[DD_NUMBER_TEXT];
    const double x = (dd_svg_step_x(g, step) + dd_svg_step_x(g, step + 1)) / 2;
    dd_svg_line(&g->s, x, y + 2, x, y + 6, "stroke=\"" DD_SVG_MUTED "\"");
    dd_svg_text(&g->s, x, y + 18, "", dd_text_timestep(text, g->r.plan->rows[step].timestep));
}

static bool all_integers(const dd_plan *p)
{
    for (int s = 0; s < p->n_steps; s++)
        if (p->rows[s].timestep != floorf(p->rows[s].timestep)) return false;
    return true;
}

void dd_svg_step_axis(dd_svg *g, double y)
{
    const int n = g->r.plan->n_steps;
    const double min_gap = all_integers(g->r.plan) ? 44 : 60; /* "999" or "999.25", with air */
    const double column = (double)DD_SVG_W / n;
    int stride = (int)ceil(min_gap / column);
    if (stride < 1) stride = 1;
    dd_str_add(&g->s, "<g font-size=\"11\" text-anchor=\"middle\" fill=\"" DD_SVG_MUTED "\">\n");
    for (int step = 0; step < n - 1; step += stride)
        if ((n - 1 - step) * column >= min_gap) add_step_tick(g, step, y); /* room for the last step, always labelled */
    add_step_tick(g, n - 1, y);
    dd_str_add(&g->s, "</g>\n");
}

void dd_svg_steps_text(const dd_svg *g, int first, int last, char *text, size_t size)
{
    char from[DD_NUMBER_TEXT], to[DD_NUMBER_TEXT];
    dd_text_timestep(from, g->r.plan->rows[first].timestep);
    dd_text_timestep(to, g->r.plan->rows[last].timestep);
    if (first == last) snprintf(text, size, "t=%s", from);
    else snprintf(text, size, "t=%s to %s", from, to);
}

/* SPDX-License-Identifier: MIT
 * The picture of a benchmark: speed-ups over MAC ratios with the line on which every saved multiply-add is saved time,
 * and below it the seconds of every kind of op, complete and dynamic run one above the other. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/svg.h"

#define WIDTH 960
#define LEFT 76.0
#define TOP 96.0
#define SIDE 380.0 /* of the square plot */
#define BAR_LEFT 210.0
#define BAR_WIDTH 680.0
#define BAR 16.0
#define MUTED "fill=\"" SVG_MUTED "\""

static const struct {
    const char *name, *colour, *meaning;
} modes[] = {{"tdw", "#2a6aa9", "tdw: widths change with the timestep"},
             {"tdw+sdt", "#b4481e", "tdw+sdt: and token routers run"},
             {"own", "#3b8f5a", "own: what the model's routers decide"}};
enum { N_MODES = sizeof modes / sizeof modes[0] };

static const struct {
    const char *name, *colour;
} ops[] = {{"qkv", "#26488f"},   {"attention", "#7a5ea8"}, {"proj", "#2c90be"},  {"fc1", "#3b8f5a"},
           {"fc2", "#8fc46b"},   {"adaln", "#e0b13c"},     {"route", "#b4481e"}, {"cond", "#d98a6a"},
           {"embed", "#9aa5b1"}, {"final", "#5c6b7a"},     {"guide", "#c9a0c9"}, {"solve", "#80586d"},
           {"other", "#cfd6dd"}};
enum { N_OPS = sizeof ops / sizeof ops[0] };

typedef struct plot {
    FILE *f;
    const json_t *cases;
    double top; /* of both axes */
} plot;

static double at_x(const plot *p, double v) { return LEFT + SIDE * v / p->top; }

static double at_y(const plot *p, double v) { return TOP + SIDE * (1 - v / p->top); }

static void axes(const plot *p)
{
    const double step = svg_tick(p->top, 6);
    char text[32];
    for (double v = 0; v <= p->top * 1.0001; v += step) {
        snprintf(text, sizeof text, "%g", v);
        svg_line(p->f, LEFT, at_y(p, v), LEFT + SIDE, at_y(p, v), "stroke=\"#e6eaee\"");
        svg_line(p->f, at_x(p, v), TOP, at_x(p, v), TOP + SIDE, "stroke=\"#e6eaee\"");
        svg_text(p->f, LEFT - 8, at_y(p, v) + 4, "text-anchor=\"end\" " MUTED, text);
        svg_text(p->f, at_x(p, v), TOP + SIDE + 18, "text-anchor=\"middle\" " MUTED, text);
    }
    svg_line(p->f, LEFT, TOP + SIDE, LEFT + SIDE, TOP, "stroke=\"" SVG_INK "\" stroke-dasharray=\"6 4\"");
    svg_text(p->f, LEFT, TOP - 12, "font-size=\"14\" font-weight=\"600\"", "Speed-up against the complete model");
    svg_text(p->f, LEFT + SIDE / 2, TOP + SIDE + 38, "text-anchor=\"middle\" " MUTED,
             "MAC ratio: dense over executed multiply-adds");
}

static int mode_index(const json_t *c)
{
    char mode[32];
    bench_string(c, "mode", mode, sizeof mode);
    for (int i = 0; i < N_MODES; i++) {
        if (strcmp(mode, modes[i].name) == 0) return i;
    }
    return -1; /* the complete model, or nothing we know */
}

/* Beside the plot: what the marks mean, and the figures of every point as far as there is room. */
static void legend(const plot *p)
{
    const double x = LEFT + SIDE + 40;
    double y = TOP + 16;
    svg_line(p->f, x - 8, y - 4, x + 16, y - 4, "stroke=\"" SVG_INK "\" stroke-dasharray=\"6 4\"");
    svg_text(p->f, x + 24, y, "", "every saved multiply-add is saved time");
    for (int i = 0; i < N_MODES; i++) {
        y += 20;
        svg_dot(p->f, x + 4, y - 4, modes[i].colour, NULL);
        svg_text(p->f, x + 24, y, "", modes[i].meaning);
    }
    y += 10;
    for (size_t k = 0; k < json_array_size(p->cases) && y < TOP + SIDE - 16; k++) {
        const json_t *c = json_array_get(p->cases, k);
        char name[64], line[160];
        if (mode_index(c) < 0 || !bench_get(c, "speedup")) continue;
        y += 16;
        snprintf(line, sizeof line, "%s, batch %.0f: %.2f of %.2f, %.0f %%", bench_case_name(c, name, sizeof name),
                 bench_number(c, "batch"), bench_number(c, "speedup.median"), bench_number(c, "mac_ratio"),
                 100 * bench_number(c, "realised"));
        svg_text(p->f, x - 8, y, MUTED, line);
    }
}

static void points(const plot *p)
{
    for (size_t k = 0; k < json_array_size(p->cases); k++) {
        const json_t *c = json_array_get(p->cases, k);
        const double ratio = bench_number(c, "mac_ratio"), speedup = bench_number(c, "speedup.median");
        char name[64], tip[160], style[64];
        const int mode = mode_index(c);
        if (mode < 0 || !(speedup > 0) || !(ratio > 0)) continue;
        const double x = at_x(p, ratio), lo = bench_number(c, "speedup.min"), hi = bench_number(c, "speedup.max");
        snprintf(style, sizeof style, "stroke=\"%s\"", modes[mode].colour);
        if (hi > 0) svg_line(p->f, x, at_y(p, lo), x, at_y(p, hi), style);
        snprintf(tip, sizeof tip, "%s, batch %.0f: MAC ratio %.2f, speed-up %.2f",
                 bench_case_name(c, name, sizeof name), bench_number(c, "batch"), ratio, speedup);
        svg_dot(p->f, x, at_y(p, speedup), modes[mode].colour, tip);
    }
}

static void find_top(plot *p)
{
    p->top = 2;
    for (size_t k = 0; k < json_array_size(p->cases); k++) {
        const json_t *c = json_array_get(p->cases, k);
        const char *const paths[] = {"mac_ratio", "speedup.median", "speedup.max"};
        for (int i = 0; i < 3; i++) {
            const double v = bench_number(c, paths[i]) * 1.1;
            if (v > p->top && v < 1e6) p->top = v;
        }
    }
}

/* ---- op times ------------------------------------------------------------------------------------------------- */

static double total(const json_t *seconds)
{
    double sum = 0;
    for (int i = 0; i < N_OPS; i++) sum += bench_number(seconds, ops[i].name);
    return sum;
}

static void stacked(FILE *f, double y, const json_t *seconds, double scale)
{
    double x = BAR_LEFT;
    for (int i = 0; i < N_OPS; i++) {
        char tip[96];
        const double s = bench_number(seconds, ops[i].name);
        if (!(s > 0)) continue;
        snprintf(tip, sizeof tip, "%s: %.4g s, %.1f %%", ops[i].name, s, 100 * s / total(seconds));
        svg_rect(f, (svg_box){x, y, s * scale, BAR}, ops[i].colour, tip);
        x += s * scale;
    }
    char text[32];
    snprintf(text, sizeof text, "%.3g s", total(seconds));
    svg_text(f, x + 6, y + BAR - 4, "font-size=\"11\" " MUTED, text);
}

static bool has_ops(const json_t *c) { return total(bench_get(c, "ops")) > 0 && mode_index(c) >= 0; }

static void op_legend(FILE *f, double y)
{
    double x = LEFT;
    for (int i = 0; i < N_OPS; i++) {
        svg_rect(f, (svg_box){x, y, 12, 12}, ops[i].colour, NULL);
        svg_text(f, x + 16, y + 10, "font-size=\"11\" " MUTED, ops[i].name);
        x += 28 + 6.6 * (double)strlen(ops[i].name);
    }
}

static void op_bars(FILE *f, const json_t *cases, double y)
{
    double longest = 0;
    char name[64], label[96];
    for (size_t k = 0; k < json_array_size(cases); k++) {
        const double a = total(bench_get(json_array_get(cases, k), "ops"));
        const double b = total(bench_get(json_array_get(cases, k), "dense_ops"));
        longest = a > longest ? a : longest;
        longest = b > longest ? b : longest;
    }
    svg_text(f, LEFT, y, "font-size=\"14\" font-weight=\"600\"",
             "Seconds by kind of op: the complete model above, the dynamic run below");
    op_legend(f, y + 14);
    y += 40;
    for (size_t k = 0; k < json_array_size(cases); k++) {
        const json_t *c = json_array_get(cases, k);
        if (!has_ops(c)) continue;
        snprintf(label, sizeof label, "%s, batch %.0f", bench_case_name(c, name, sizeof name),
                 bench_number(c, "batch"));
        svg_text(f, BAR_LEFT - 10, y + BAR + 5, "text-anchor=\"end\"", label);
        if (bench_get(c, "dense_ops")) stacked(f, y, bench_get(c, "dense_ops"), BAR_WIDTH / longest);
        stacked(f, y + BAR + 1, bench_get(c, "ops"), BAR_WIDTH / longest);
        y += 2 * BAR + 14;
    }
}

char *bench_svg(const json_t *doc)
{
    char *text = NULL, arch[96], cpu[96], isa[48], line[320];
    size_t size = 0;
    int bars = 0;
    plot p = {.f = open_memstream(&text, &size), .cases = bench_get(doc, "cases")};
    if (!p.f) return NULL;
    find_top(&p);
    for (size_t k = 0; k < json_array_size(p.cases); k++) bars += has_ops(json_array_get(p.cases, k));
    const double below = TOP + SIDE + 80;
    svg_begin(p.f, WIDTH, below + (bars > 0 ? 40 + bars * (2 * BAR + 14) : -20), "Speed-up of dynamic runs, op times");
    bench_string(doc, "model.arch", arch, sizeof arch);
    bench_string(doc, "machine.cpu", cpu, sizeof cpu);
    bench_string(doc, "backend.isa", isa, sizeof isa);
    svg_text(p.f, LEFT, 36, "font-size=\"20\" font-weight=\"700\"", arch);
    snprintf(line, sizeof line, "%s, %s, %.0f threads", cpu, isa, bench_number(doc, "backend.threads"));
    svg_text(p.f, LEFT, 58, "font-size=\"13\" " MUTED, line);
    axes(&p);
    legend(&p);
    points(&p);
    if (bars > 0) op_bars(p.f, p.cases, below);
    svg_end(p.f);
    return fclose(p.f) == 0 ? text : NULL;
}

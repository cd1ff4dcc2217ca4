/* SPDX-License-Identifier: MIT
 * Pieces of the plan's picture: geometry, drawing of marks and axes. Internal to plan/. */
#ifndef DD_HOST_PLAN_PLAN_SVG_H
#define DD_HOST_PLAN_PLAN_SVG_H

#include "host/base/str.h"
#include "host/plan/report.h"

/* Pixels. Every panel has the same plot columns: x = DD_SVG_X .. DD_SVG_X + DD_SVG_W. */
#define DD_SVG_WIDTH 960
#define DD_SVG_X 76
#define DD_SVG_W 760
#define DD_SVG_SIDE (DD_SVG_X + DD_SVG_W + 16) /* right of the plots */

#define DD_SVG_INK "#1c2733"   /* text */
#define DD_SVG_MUTED "#5c6b7a" /* secondary text, ticks */
#define DD_SVG_LINE "#cfd6dd"  /* frames, grid */
#define DD_SVG_SKIPPED "#dfe3e8"
#define DD_SVG_REUSED "url(#dd-reused)"

#define DD_SVG_RAMP_STOPS 9

typedef struct dd_svg {
    dd_str s;
    dd_report r;
    int n_blocks;
    double y; /* where the next piece begins */
} dd_svg;

/* Colour of a share 0..1, light to dark: "#rrggbb" */
typedef struct dd_svg_colour {
    char text[8];
} dd_svg_colour;
dd_svg_colour dd_svg_ramp(double share);

/* Left edge of a step's column; step n_steps is the right edge of the plot. */
double dd_svg_step_x(const dd_svg *g, int step);

/* Number with at most two decimals. */
void dd_svg_num(dd_str *s, double v);
/* ` name="1.5"` */
void dd_svg_attr(dd_str *s, const char *name, double v);

typedef struct dd_svg_box {
    double x, y, w, h;
} dd_svg_box;

/* A filled box with an optional tooltip. */
void dd_svg_rect(dd_str *s, dd_svg_box box, const char *fill, const char *tip);
/* Outline of a plot. */
void dd_svg_frame(dd_str *s, dd_svg_box box);
/* style: further attributes. */
void dd_svg_text(dd_str *s, double x, double y, const char *style, const char *text);
void dd_svg_line(dd_str *s, double x0, double y0, double x1, double y1, const char *style);

/* Ticks and timesteps below a plot that ends at y; as many labels as fit. */
void dd_svg_step_axis(dd_svg *g, double y);
/* "t=981" or "t=981 to 741" for steps first .. last. Fills text [size]. */
void dd_svg_steps_text(const dd_svg *g, int first, int last, char *text, size_t size);

/* Heat map of one quantity over steps x blocks; moves g->y. Nothing where the model has no such sites. */
void dd_svg_heat(dd_svg *g, dd_quantity what);
/* Executed over dense MACs per step, and the guidance strip; moves g->y. */
void dd_svg_cost(dd_svg *g);

#endif

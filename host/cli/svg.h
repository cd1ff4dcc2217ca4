/* SPDX-License-Identifier: MIT
 * Marks of an SVG drawing, written to a stream. Texts are escaped. */
#ifndef CLI_SVG_H
#define CLI_SVG_H

#include <stdio.h>

#define SVG_INK "#1c2733"
#define SVG_MUTED "#5c6b7a"
#define SVG_LINE "#cfd6dd"

typedef struct svg_box {
    double x, y, w, h;
} svg_box;

/* The drawing's head with a white background, and its end. */
void svg_begin(FILE *f, double width, double height, const char *description);
void svg_end(FILE *f);

/* tip: what shows under the pointer, or NULL. */
void svg_rect(FILE *f, svg_box box, const char *fill, const char *tip);
void svg_dot(FILE *f, double x, double y, const char *fill, const char *tip);
/* style: further attributes. */
void svg_line(FILE *f, double x0, double y0, double x1, double y1, const char *style);
void svg_text(FILE *f, double x, double y, const char *style, const char *text);

/* 1, 2 or 5 times a power of ten: about `n` of them make `range`. */
double svg_tick(double range, int n);

#endif

/* SPDX-License-Identifier: MIT
 * SVG without scripts, fonts or links. */
#include "cli/svg.h"

#include <math.h>

static void escaped(FILE *f, const char *text)
{
    for (const char *p = text; *p; p++) {
        switch (*p) {
        case '<': fputs("&lt;", f); break;
        case '>': fputs("&gt;", f); break;
        case '&': fputs("&amp;", f); break;
        case '"': fputs("&quot;", f); break;
        default: fputc((unsigned char)*p < 0x20 ? ' ' : *p, f);
        }
    }
}

void svg_begin(FILE *f, double width, double height, const char *description)
{
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" "
            "font-family=\"system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif\" "
            "font-size=\"12\" fill=\"" SVG_INK "\" role=\"img\">\n<desc>",
            width, height, width, height);
    escaped(f, description);
    fprintf(f,
            "</desc>\n<rect x=\"0.5\" y=\"0.5\" width=\"%.0f\" height=\"%.0f\" rx=\"8\" fill=\"#ffffff\" "
            "stroke=\"#dfe4e9\"/>\n",
            width - 1, height - 1);
}

void svg_end(FILE *f) { fputs("</svg>\n", f); }

static void end_mark(FILE *f, const char *name, const char *tip)
{
    if (!tip) {
        fputs("/>\n", f);
        return;
    }
    fputs("><title>", f);
    escaped(f, tip);
    fprintf(f, "</title></%s>\n", name);
}

void svg_rect(FILE *f, svg_box b, const char *fill, const char *tip)
{
    fprintf(f, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\"", b.x, b.y, b.w, b.h, fill);
    end_mark(f, "rect", tip);
}

void svg_dot(FILE *f, double x, double y, const char *fill, const char *tip)
{
    fprintf(f, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"5\" fill=\"%s\" stroke=\"#ffffff\"", x, y, fill);
    end_mark(f, "circle", tip);
}

void svg_line(FILE *f, double x0, double y0, double x1, double y1, const char *style)
{
    fprintf(f, "<line x1=\"%.2f\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\" %s/>\n", x0, y0, x1, y1, style);
}

void svg_text(FILE *f, double x, double y, const char *style, const char *text)
{
    fprintf(f, "<text x=\"%.2f\" y=\"%.2f\" %s>", x, y, style);
    escaped(f, text);
    fputs("</text>\n", f);
}

double svg_tick(double range, int n)
{
    if (!(range > 0)) return 1;
    const double power = pow(10, floor(log10(range / n))), rest = range / n / power;
    return power * (rest < 1.5 ? 1 : rest < 3.5 ? 2 : rest < 7.5 ? 5 : 10);
}

/* SPDX-License-Identifier: MIT
 * The bar fits the terminal's width: figures are dropped from the right, then the bar itself. */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>

#include "cli/term.h"

#define REDRAW_SECONDS 0.1
#define DEFAULT_BATCH 32 /* of the library: of sampling, of decoding */
#define DECODE_BATCH 4
#define BAR_MIN 10
#define BAR_MAX 40
#define LINE_MAX_LEN 256

void cli_progress_init(cli_progress *p, const char *mode, bool quiet, int batch)
{
    memset(p, 0, sizeof *p);
    p->batch = batch > 0 ? batch : DEFAULT_BATCH;
    if (quiet) return;
    if (!mode) {
        p->mode = cli_stderr_is_terminal() ? CLI_PROGRESS_BAR : CLI_PROGRESS_NONE;
    } else if (strcmp(mode, "bar") == 0) {
        p->mode = CLI_PROGRESS_BAR;
    } else if (strcmp(mode, "plain") == 0) {
        p->mode = CLI_PROGRESS_PLAIN;
    }
}

void cli_progress_next(cli_progress *p, const char *word, int batch)
{
    *p = (cli_progress){.mode = p->mode, .batch = batch > 0 ? batch : DECODE_BATCH, .word = word};
}

double cli_progress_share(const cli_progress *p)
{
    const dydit_progress *l = &p->last;
    if (l->images <= 0 || l->steps <= 0) return 0.0;
    double done = (double)l->images_done;
    if (l->step < l->steps) {
        const int64_t left = l->images - l->images_done;
        done += (double)(left < p->batch ? left : p->batch) * l->step / l->steps;
    }
    const double share = done / (double)l->images;
    return share < 0.0 ? 0.0 : share > 1.0 ? 1.0 : share;
}

static void clock_text(double seconds, char *buf, size_t size)
{
    const long long s = seconds > 0.0 && seconds < 1e9 ? (long long)(seconds + 0.5) : 0;
    if (s >= 3600) {
        snprintf(buf, size, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    } else {
        snprintf(buf, size, "%lld:%02lld", s / 60, s % 60);
    }
}

/* The figures, most wanted first; as many of them as fit into room characters. */
static void figures(const cli_progress *p, int room, char *buf, size_t size)
{
    char part[5][64] = {{0}}, left[32];
    const dydit_progress *l = &p->last;
    clock_text(l->seconds_left, left, sizeof left);
    if (p->word) snprintf(part[0], sizeof part[0], "%s  ", p->word);
    snprintf(part[1], sizeof part[1], "%3.0f%%", 100.0 * cli_progress_share(p));
    if (!p->word) snprintf(part[2], sizeof part[2], "  step %d/%d", l->step, l->steps);
    snprintf(part[3], sizeof part[3], "  image %lld/%lld", (long long)l->images_done, (long long)l->images);
    if (l->images_per_s > 0.0) snprintf(part[4], sizeof part[4], "  %.3g img/s  %s left", l->images_per_s, left);
    buf[0] = 0;
    for (int i = 0; i < 5; i++) {
        const size_t n = strlen(buf), more = strlen(part[i]);
        if ((int)(n + more) > room || n + more >= size) break;
        memcpy(buf + n, part[i], more + 1);
    }
}

static void draw_bar(const cli_progress *p)
{
    char text[LINE_MAX_LEN], line[LINE_MAX_LEN];
    int columns = cli_stderr_columns() - 1;
    if (columns >= LINE_MAX_LEN) columns = LINE_MAX_LEN - 1;
    figures(p, columns, text, sizeof text);
    int bar = columns - (int)strlen(text) - 3;
    if (bar > BAR_MAX) bar = BAR_MAX;
    if (bar < BAR_MIN) {
        cli_bar_draw(text);
        return;
    }
    char cells[BAR_MAX + 1];
    const int full = (int)(cli_progress_share(p) * bar);
    for (int i = 0; i < bar; i++) cells[i] = i < full ? '#' : '-';
    cells[bar] = 0;
    snprintf(line, sizeof line, "[%s] %.200s", cells, text);
    cli_bar_draw(line);
}

static void plain_line(cli_progress *p)
{
    char text[LINE_MAX_LEN];
    const int tenth = (int)(cli_progress_share(p) * 10.0 + 1e-9);
    if (tenth <= p->tenth) return;
    p->tenth = tenth;
    figures(p, LINE_MAX_LEN - 1, text, sizeof text);
    fprintf(stderr, "%s\n", text + strspn(text, " "));
    fflush(stderr);
}

void cli_progress_step(cli_progress *p, const dydit_progress *now)
{
    p->last = *now;
    if (p->mode == CLI_PROGRESS_PLAIN) plain_line(p);
    if (p->mode != CLI_PROGRESS_BAR) return;
    const bool last = now->images_done >= now->images;
    if (!last && p->drawn_at > 0.0 && now->seconds - p->drawn_at < REDRAW_SECONDS) return;
    p->drawn_at = now->seconds;
    draw_bar(p);
}

void cli_progress_end(cli_progress *p)
{
    if (p->mode == CLI_PROGRESS_BAR) cli_bar_clear();
}

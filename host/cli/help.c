/* SPDX-License-Identifier: MIT
 * Help texts from flag tables, and names near a mistyped one. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"
#include "cli/term.h"

#define HELP_COLUMN 34
#define NEAR_MAX 3
#define WORD_MAX 64

/* "-o, --output FILE", "--num-sampling-steps, --steps SPEC" */
static void flag_column(const cli_option *o, char *buf, size_t size)
{
    char shorts[32] = "", longs[128] = "";
    snprintf(longs, sizeof longs, "--%s", o->name);
    for (const char *p = o->aliases; p && *p;) {
        const size_t n = strcspn(p, ",");
        char *to = n == 1 ? shorts : longs;
        const size_t cap = n == 1 ? sizeof shorts : sizeof longs;
        const size_t len = strlen(to);
        if (n == 1) {
            snprintf(to + len, cap - len, "-%.1s, ", p);
        } else {
            snprintf(to + len, cap - len, ", --%.*s", (int)n, p);
        }
        p += n + (p[n] == ',');
    }
    snprintf(buf, size, "  %s%s%s%s", shorts, longs, o->value ? " " : "", o->value ? o->value : "");
}

static void option_help(const cli_option *o)
{
    char left[256];
    flag_column(o, left, sizeof left);
    const int width = (int)strlen(left);
    cli_outf("%s", left);
    if (width >= HELP_COLUMN - 1) {
        cli_outf("\n%*s", HELP_COLUMN, "");
    } else {
        cli_outf("%*s", HELP_COLUMN - width, "");
    }
    for (const char *p = o->help; *p; p++) {
        if (*p == '\n') {
            cli_outf("\n%*s", HELP_COLUMN, "");
        } else {
            cli_outf("%c", *p);
        }
    }
    if (o->deflt) cli_outf(" (default %s)", o->deflt);
    cli_out("\n");
}

void cli_help(const cli_spec *spec)
{
    cli_outf("usage: dydit %s %s\n\n%s\n", spec->command, spec->synopsis, spec->about);
    for (int i = 0; i < spec->n_options; i++) {
        const cli_option *o = &spec->options[i];
        if (o->type == CLI_GROUP) {
            cli_outf("\n%s:\n", o->name);
        } else if (o->type != CLI_ABSENT) {
            option_help(o);
        }
    }
    cli_outf("\nexamples:\n%s", spec->examples);
}

static int edit_distance(const char *a, const char *b)
{
    const int na = (int)strlen(a), nb = (int)strlen(b);
    int row[WORD_MAX + 1];
    if (na > WORD_MAX || nb > WORD_MAX) return WORD_MAX;
    for (int j = 0; j <= nb; j++) row[j] = j;
    for (int i = 1; i <= na; i++) {
        int corner = row[0];
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            const int same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            int best = corner + !same;
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            corner = row[j];
            row[j] = best;
        }
    }
    return row[nb];
}

/* How far name is from word; names that begin with word are near whatever their length. WORD_MAX: too far. */
static int distance(const char *word, const char *name)
{
    const size_t n = strlen(word);
    if (n >= 3 && strncmp(word, name, n) == 0) return 1;
    const int d = edit_distance(word, name);
    return d <= 1 + (int)n / 4 ? d : WORD_MAX;
}

const char *cli_near(const char *word, const char *const *names, int n, const char *dashes, char *buf, size_t size)
{
    const char *found[NEAR_MAX];
    int n_found = 0;
    for (int d = 0; d < WORD_MAX; d++) {
        for (int i = 0; i < n && n_found < NEAR_MAX; i++) {
            if (distance(word, names[i]) == d) found[n_found++] = names[i];
        }
    }
    buf[0] = 0;
    for (int i = 0; i < n_found; i++) {
        const size_t len = strlen(buf);
        const char *between = i == 0 ? "; did you mean " : i + 1 == n_found ? " or " : ", ";
        snprintf(buf + len, size - len, "%s%s%s%s", between, dashes, found[i], i + 1 == n_found ? "?" : "");
    }
    return buf;
}

/* SPDX-License-Identifier: MIT
 * The command line. */
#include "tests/checkkernel/options.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "checkkernel [--quick | --full] [--op=GLOB,...] [--impl=GLOB,...] [--case=NAME|GLOB] [--seed=N] [--most=N] [-v]\n"
    "            --most=N     leaves out cases of more than about N multiplications\n"
    "            --list       names of cases, not run\n"
    "            --mutants    faulty implementations, each of which must be caught\n"
    "            --bench      times instead of tests: [--threads=N] [--json=FILE] [--compare=FILE] [--commit=NAME]\n"
    "Exit status: 0 all passed, 1 a failure or nothing run, 2 usage, 77 what --impl names cannot run here.\n";

bool ck_wanted(const char *globs, const char *name)
{
    char one[64];
    for (const char *p = globs; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
        snprintf(one, sizeof one, "%.*s", (int)strcspn(p, ","), p);
        if (fnmatch(one, name, 0) == 0) return true;
    }
    return globs == NULL;
}

/* The value of --name=value or of --name value; NULL if arg is another option. */
static const char *value_of(const char *name, int argc, char **argv, int *i)
{
    const size_t n = strlen(name);
    if (strncmp(argv[*i], name, n) != 0) return NULL;
    if (argv[*i][n] == '=') return argv[*i] + n + 1;
    return argv[*i][n] == 0 && *i + 1 < argc ? argv[++*i] : NULL;
}

static bool number(const char *text, uint64_t *out)
{
    char *end;
    *out = strtoull(text, &end, 0);
    return *text != 0 && *end == 0;
}

static bool option(ck_options *o, int argc, char **argv, int *i)
{
    const struct {
        const char *name;
        const char **to;
    } texts[] = {{"--op", &o->op},     {"--impl", &o->impl},     {"--case", &o->case_name},
                 {"--json", &o->json}, {"--commit", &o->commit}, {"--compare", &o->compare}};
    const char *arg = argv[*i], *text;
    uint64_t n;
    for (int t = 0; t < CK_COUNT(texts); t++)
        if ((text = value_of(texts[t].name, argc, argv, i))) return *texts[t].to = text, true;
    if ((text = value_of("--seed", argc, argv, i))) return number(text, &o->seed);
    if ((text = value_of("--most", argc, argv, i))) return number(text, &o->most);
    if ((text = value_of("--threads", argc, argv, i)))
        return number(text, &n) && n <= CK_MAX_THREADS && (o->threads = (int)n) >= 0;
    if (strcmp(arg, "--quick") == 0) o->level = CK_QUICK;
    else if (strcmp(arg, "--full") == 0) o->level = CK_FULL;
    else if (strcmp(arg, "--list") == 0) o->mode = CK_MODE_LIST;
    else if (strcmp(arg, "--mutants") == 0) o->mode = CK_MODE_MUTANTS;
    else if (strcmp(arg, "--bench") == 0) o->mode = CK_MODE_BENCH;
    else if (strcmp(arg, "-v") == 0) o->verbose = true;
    else return false;
    return true;
}

bool ck_options_parse(ck_options *o, int argc, char **argv)
{
    *o = (ck_options){.seed = 1};
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (option(o, argc, argv, &i)) continue;
        if (strcmp(arg, "--help") == 0) printf("%s", help);
        else fprintf(stderr, "checkkernel: what is %s?\n%s", arg, help);
        return false;
    }
    return true;
}

ck_list ck_cases(const ck_options *o, const ck_op *op)
{
    ck_list l = {.level = o->level, .filter = o->case_name};
    op->list(&l);
    if (o->case_name && o->level == CK_QUICK) {
        l.level = CK_FULL;
        op->list(&l);
    }
    return l;
}

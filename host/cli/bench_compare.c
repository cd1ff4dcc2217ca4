/* SPDX-License-Identifier: MIT
 * An earlier report against this one. Only equal work on an equal machine is compared; the instruction set and the
 * version may differ, since they are what one wants to compare. */
#include <math.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/bench_stats.h"

/* What must be equal, as the reader of a refusal would call it. */
static const struct {
    const char *path, *name;
    bool optional; /* equal also where neither has it */
} recipe[] = {{"model.arch", "model", false},
              {"model.input_size", "size of the latents", false},
              {"protocol.sampler", "sampler", false},
              {"protocol.steps", "steps", false},
              {"protocol.cfg_scale", "guidance", false},
              {"protocol.precision", "precision", false},
              {"machine.cpu", "CPU", false},
              {"backend.name", "backend", false},
              {"backend.threads", "number of threads", false},
              {"backend.device.name", "device", true}};

static bool same_value(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) return fabs(json_number_value(a) - json_number_value(b)) < 1e-9;
    return a && b && json_equal((json_t *)(uintptr_t)a, (json_t *)(uintptr_t)b);
}

static const char *shown(const json_t *v, char *buf, size_t size)
{
    if (json_is_number(v)) snprintf(buf, size, "%g", json_number_value(v));
    else snprintf(buf, size, "%s", json_is_string(v) ? json_string_value(v) : "unknown");
    return buf;
}

static int check_recipe(const json_t *before, const json_t *now, const char *path)
{
    for (size_t i = 0; i < sizeof recipe / sizeof recipe[0]; i++) {
        char a[160], b[160];
        const json_t *was = bench_get(before, recipe[i].path), *is = bench_get(now, recipe[i].path);
        if (same_value(was, is) || (recipe[i].optional && !was && !is)) continue;
        return cli_fail(CLI_INPUT, "--compare: no matching case in %s: its %s was %s, here it is %s", path,
                        recipe[i].name, shown(was, a, sizeof a), shown(is, b, sizeof b));
    }
    return CLI_OK;
}

static const json_t *find_case(const json_t *cases, const json_t *like)
{
    static const char *const keys[] = {"mode", "ratio", "tokens", "batch"};
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        size_t k = 0;
        while (k < sizeof keys / sizeof keys[0] && same_value(bench_get(c, keys[k]), bench_get(like, keys[k]))) k++;
        if (k == sizeof keys / sizeof keys[0]) return c;
    }
    return NULL;
}

static int read_times(const json_t *c, double *out)
{
    const json_t *raw = bench_get(c, "seconds.raw");
    int n = 0;
    for (size_t i = 0; i < json_array_size(raw) && n < BENCH_MAX_REPEAT; i++) {
        const double v = json_number_value(json_array_get(raw, i));
        if (v > 0) out[n++] = v;
    }
    return n;
}

static bench_verdict compare_case(const json_t *before, const json_t *now, double limit)
{
    double a[BENCH_MAX_REPEAT], b[BENCH_MAX_REPEAT];
    char name[64];
    const int na = read_times(before, a), nb = read_times(now, b);
    const bench_comparison c = bench_compare_times(a, na, b, nb, limit);
    cli_outf("%-8s %-16s batch %-4.0f %+7.1f %% of %.4g s, %.1f %% would count\n", bench_verdict_name(c.verdict),
             bench_case_name(now, name, sizeof name), bench_number(now, "batch"), 100 * c.change,
             bench_number(before, "seconds.median"), 100 * c.needed);
    return c.verdict;
}

static void note_isa(const json_t *before, const json_t *now)
{
    char was[64], is[64];
    bench_string(before, "backend.isa", was, sizeof was);
    bench_string(now, "backend.isa", is, sizeof is);
    if (strcmp(was, is) != 0) cli_outf("instruction set: %s before, %s now\n", was, is);
}

int bench_compare(const json_t *before, const json_t *now, const char *path, double limit)
{
    const json_t *cases = bench_get(now, "cases");
    int n = 0, slower = 0;
    const int rc = check_recipe(before, now, path);
    if (rc != CLI_OK) return rc;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i), *was = find_case(bench_get(before, "cases"), c);
        if (!was) continue;
        if (n++ == 0) note_isa(before, now);
        slower += compare_case(was, c, limit) == BENCH_SLOWER;
    }
    if (n == 0) {
        return cli_fail(CLI_INPUT, "--compare: no matching case in %s: modes, ratios, tokens and batch sizes differ",
                        path);
    }
    const int left = (int)json_array_size(cases) - n;
    if (left > 0) cli_outf("%d case%s not in %s\n", left, left == 1 ? " is" : "s are", path);
    return slower ? cli_fail(CLI_SLOWER, "%d of %d cases slower than in %s", slower, n, path) : CLI_OK;
}

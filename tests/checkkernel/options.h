/* SPDX-License-Identifier: MIT
 * The command line of checkkernel. */
#ifndef DD_TESTS_CHECKKERNEL_OPTIONS_H
#define DD_TESTS_CHECKKERNEL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/checkkernel/check.h"

typedef enum ck_mode { CK_MODE_CHECK, CK_MODE_LIST, CK_MODE_MUTANTS, CK_MODE_BENCH } ck_mode;

typedef struct ck_options {
    ck_mode mode;
    ck_level level;
    const char *op, *impl; /* globs between commas, or NULL: all */
    const char *case_name; /* a name or a glob, or NULL */
    const char *json, *compare, *commit;
    uint64_t seed;
    uint64_t most; /* work of a case; 0: any */
    int threads;   /* of benchmarks; 0: all CPUs */
    bool verbose;
} ck_options;

/* False: printed what is wrong, or help. */
bool ck_options_parse(ck_options *o, int argc, char **argv);

/* Does the name match one of the globs, or are there none? */
bool ck_wanted(const char *globs, const char *name);

/* The cases of an op that the options ask for. A named case is looked for among all. */
ck_list ck_cases(const ck_options *o, const ck_op *op);

int ck_run_checks(const ck_options *o);
int ck_run_mutants(const ck_options *o);
int ck_run_bench(const ck_options *o);

#endif

/* SPDX-License-Identifier: MIT
 * Fixture of the tests of plans: a small model with routers, a plan of four steps, a temporary file. Included by cmocka
 * programs only. */
#ifndef DD_TESTS_SUPPORT_PLAN_FIXTURE_H
#define DD_TESTS_SUPPORT_PLAN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/plan/plan.h"
#include "tests/support/plan_model.h"

#define STEPS 4
static const float timesteps[STEPS] = {999, 666.25f, 333, 0};

typedef struct fixture {
    dd_model *model; /* 2 blocks, 6 units, routers */
    dd_plan *plan;
    dd_err err;
    char path[64];
} fixture;

static inline int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    if (!f) return -1;
    *state = f;
    f->model = plan_model_new(2, 48, 6, 16);
    if (!f->model || !plan_model_add_routers(f->model)) return -1;
    snprintf(f->path, sizeof f->path, "/tmp/dydit_test_plan_XXXXXX");
    const int fd = mkstemp(f->path);
    if (fd < 0) return -1;
    close(fd);
    const int guided[STEPS] = {1, 1, 1, 1};
    return dd_plan_build(&f->plan, f->model, timesteps, guided, STEPS, &f->err) == DD_OK ? 0 : -1;
}

static inline int teardown(void **state)
{
    fixture *f = *state;
    unlink(f->path);
    dd_plan_free(&f->plan);
    plan_model_free(f->model);
    free(f);
    return 0;
}

static inline void expect_error(fixture *f, dd_status st, dd_status want, const char *part)
{
    assert_int_equal(st, want);
    if (!strstr(f->err.text, part)) fail_msg("\"%s\" is not in: %s", part, f->err.text);
    dd_err_clear(&f->err);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif

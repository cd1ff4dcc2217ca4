/* SPDX-License-Identifier: MIT
 * What the tests of work and bounds share: a made-up data sheet with round figures, and the bound of a rig's plan. */
#ifndef DD_TESTS_UNIT_BOUND_RIG_H
#define DD_TESTS_UNIT_BOUND_RIG_H

/* The including file includes cmocka.h first. */
#include "host/exec/bound.h"
#include "tests/unit/exec_rig.h"

static const dd_sheet sheet = {"TEST", "made up", 1e12, 100e12, 10e12, 1, 1e9};
static const dd_bound_terms all_tokens = {&sheet, 2e-6, 1};

static inline dd_bound bound_of(rig *r, const dd_bound_terms *terms)
{
    dd_bound b = {0};
    rig_must(r, dd_bound_add(&b, &r->spec, r->be->ops, terms, &r->err));
    return b;
}

/* The rig's plan as a run that samples. */
static inline void sampling(rig *r, int images, dd_format input)
{
    r->spec.coefs = r->coefs;
    r->spec.max_images = images;
    r->spec.input = input;
    r->spec.want_hits = true;
}

#endif

/* SPDX-License-Identifier: MIT
 * Bounds of a plan and of the complete model side by side, as a table of at most 100 columns or as JSON. Both say that
 * they are bounds. */
#ifndef DD_HOST_EXEC_BOUND_REPORT_H
#define DD_HOST_EXEC_BOUND_REPORT_H

#include "host/exec/bound.h"

typedef struct dd_bound_report {
    const dd_run_spec *spec; /* of the plan; the complete model has the same steps and images */
    const dd_bound_terms *terms;
    const dd_bound *dense, *planned;
} dd_bound_report;

/* The caller frees the text. */
dd_status dd_bound_text(const dd_bound_report *r, char **out, dd_err *err);
dd_status dd_bound_json(const dd_bound_report *r, char **out, dd_err *err);

#endif

/* SPDX-License-Identifier: MIT
 * Where the time of a step goes: every op is run and waited for on its own, and its time is added to that of its kind.
 * The waiting disturbs a backend that works ahead, so a profiled run is no measurement of speed. */
#ifndef DD_HOST_EXEC_PROFILE_H
#define DD_HOST_EXEC_PROFILE_H

#include "host/exec/session.h"

/* Kinds in the order of the network: what reports list. */
typedef enum dd_op_kind {
    DD_KIND_COND, /* conditioning tables, once per chunk of steps */
    DD_KIND_EMBED,
    DD_KIND_ADALN, /* LayerNorm and modulation of the blocks */
    DD_KIND_QKV,
    DD_KIND_ATTENTION,
    DD_KIND_PROJ,
    DD_KIND_ROUTE,
    DD_KIND_FC1,
    DD_KIND_FC2,
    DD_KIND_ADD,     /* stored branches onto the tokens */
    DD_KIND_AVERAGE, /* depth-weighted averages, with the adaln that follows */
    DD_KIND_FINAL,
    DD_KIND_GUIDE,
    DD_KIND_SOLVE,
    DD_KIND_OTHER,
    DD_KIND_COUNT
} dd_op_kind;

const char *dd_kind_name(dd_op_kind kind); /* "qkv" */
dd_op_kind dd_kind_of(const dd_op *op);    /* by op and label */

typedef struct dd_profile {
    double seconds[DD_KIND_COUNT];
} dd_profile;

/* dd_session_step with the times added to *p. */
dd_status dd_profile_step(dd_profile *p, dd_session *s, int step, dd_err *err);

#endif

/* SPDX-License-Identifier: MIT
 * What backends share, those in plugins too, which compile it in: calling an op, and saying what was wrong. */
#ifndef DD_HOST_EXEC_BACKEND_COMMON_H
#define DD_HOST_EXEC_BACKEND_COMMON_H

#include "host/exec/backend.h"

dd_status dd_op_call(const dd_ops *ops, const dd_exec *exec, const dd_op *op);

/* The sentence for an op that returned st. */
dd_status dd_op_refused(const dd_backend *be, const dd_op *op, dd_status st, dd_err *err);

/* Says what was wrong with a weight. */
dd_status dd_pack_status(dd_status st, const dd_weight_desc *desc, dd_err *err);

#endif

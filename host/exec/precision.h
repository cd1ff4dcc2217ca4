/* SPDX-License-Identifier: MIT
 * Names of precisions. A precision is the format of GEMM inputs; all else follows from it (run_spec.h). */
#ifndef DD_HOST_EXEC_PRECISION_H
#define DD_HOST_EXEC_PRECISION_H

#include "host/exec/backend.h"

/* What a precision means on a backend. name: "auto", "fp32", "tf32", "bf16", "fp16". ERR_UNSUPPORTED: the backend lacks
 * it. */
dd_status dd_precision_find(dd_format *input, const dd_backend *be, const char *name, dd_err *err);

/* What it means on a device that need not be there; auto is bf16. */
dd_status dd_precision_parse(dd_format *input, const char *name, dd_err *err);

/* Format of results that steps keep for later steps. name: "f32", "bf16"; "auto" or empty: bf16 where GEMM inputs have 16 bits,
 * else f32. */
dd_status dd_cache_parse(dd_format *cache, const char *name, dd_format input, dd_err *err);

const char *dd_precision_name(dd_format input);

/* Does the backend take such inputs? */
bool dd_precision_on(const dd_backend *be, dd_format input);

#endif

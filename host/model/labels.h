/* SPDX-License-Identifier: MIT
 * Class labels by name, number or range: "A,C-F,12". */
#ifndef DD_HOST_MODEL_LABELS_H
#define DD_HOST_MODEL_LABELS_H

#include "host/model/config.h"

/* *labels [*n]: the caller frees it. Unknown names are ERR_ARG and list near matches. */
dd_status dd_labels_parse(const dd_config *cfg, const char *spec, int **labels, int64_t *n, dd_err *err);

#endif

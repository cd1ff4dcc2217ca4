/* SPDX-License-Identifier: MIT
 * Depth-weighted averages as DenseFormer has them (Pagliardini et al. 2024, arXiv 2402.02622), as far as names and shapes
 * tell.
 *
 * X_0 are the embedded tokens, X_i is the output of unit i = 1, 2, ... . What follows unit i, the next unit or the last layer,
 * reads Y_i = sum over j = i, i-k, i-2k, ... >= 0 of alpha_ij X_j where i is a multiple of p, else X_i. k is the dilation, p
 * the period. A unit is a block in checkpoints with the names of the package, some blocks (increase_T_every, 2 unless the
 * metadata say otherwise) in those of the experiments, which know no period. */
#ifndef DD_HOST_MODEL_DWA_H
#define DD_HOST_MODEL_DWA_H

#include "host/model/config.h"

#define DD_DWA_NAME 64

/* From the tensors, and the metadata dwa_dilation, dwa_period and increase_T_every where these are there. Contradictions are
 * ERR_FORMAT and name the tensor. */
dd_status dd_dwa_read(dd_dwa *out, const dd_tensors *file, int depth, dd_err *err);

const char *dd_dwa_names_text(dd_dwa_names names); /* "package" */

int dd_dwa_units(const dd_config *c);               /* 0: no averages */
bool dd_dwa_averages(const dd_config *c, int unit); /* is there an average after it? */
int dd_dwa_weights(const dd_config *c, int unit);   /* of that average: the oldest source first, its own unit's last */
void dd_dwa_tensor(const dd_config *c, int unit, char name[DD_DWA_NAME]); /* that has them */

/* Outputs that are kept for later averages at most, while a unit runs. */
int dd_dwa_held(const dd_config *c);

#endif

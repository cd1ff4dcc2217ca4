/* SPDX-License-Identifier: MIT
 * Moves the token routers of a model with random weights, so that about a wanted share of tokens is kept. A run with a
 * calibration stops before every router, scores a sample of the tokens on the host and gives the router the bias that
 * keeps the share of them; after the run each router gets the one bias that keeps the share over all steps. */
#ifndef DD_HOST_EXEC_CALIBRATE_H
#define DD_HOST_EXEC_CALIBRATE_H

#include "host/exec/session.h"

typedef struct dd_calibration {
    double share;   /* wanted, between 0 and 1 */
    bool fixed;     /* keep the biases during the run: a second run refines those of a first */
    int every;      /* scores are taken at every so many steps, from step 0 on */
    float **scores; /* [token routers] of all sampled tokens, bias left out */
    int *n_scores;
    int cap; /* room of each list */
} dd_calibration;

dd_status dd_calibration_init(dd_calibration *c, const dd_model *model, double share, int n_steps, dd_err *err);
void dd_calibration_fini(dd_calibration *c, const dd_model *model);

/* dd_session_step of a calibrating run. */
dd_status dd_calibration_step(dd_calibration *c, dd_session *s, int step, dd_err *err);
/* The final biases, into the model and the weights that a backend holds of it. */
dd_status dd_calibration_apply(dd_calibration *c, dd_model *model, const dd_weight_store *weights, dd_err *err);

#endif

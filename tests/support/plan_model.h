/* SPDX-License-Identifier: MIT
 * A model made by hand for tests of plans: sites and routers without a file or weights of layers. */
#ifndef DD_TESTS_SUPPORT_PLAN_MODEL_H
#define DD_TESTS_SUPPORT_PLAN_MODEL_H

#include "host/model/model.h"

/* DiT geometry of `depth` blocks, patch 2 on 4 channels; no routers. NULL if memory ran out. */
dd_model *plan_model_new(int depth, int hidden, int heads, int tokens);
/* Gives every MLP a token router and every site a timestep router with small pseudo-random values. 0 if
 * memory ran out. */
int plan_model_add_routers(dd_model *m);
void plan_model_free(dd_model *m);

#endif

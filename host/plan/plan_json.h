/* SPDX-License-Identifier: MIT
 * What the writer and the reader of plans share. Internal to plan/. */
#ifndef DD_HOST_PLAN_PLAN_JSON_H
#define DD_HOST_PLAN_PLAN_JSON_H

#include "host/plan/plan.h"

#define DD_PLAN_SCHEMA "dydit-plan"
#define DD_PLAN_SCHEMA_VERSION 1
#define DD_PLAN_OTHER "weight_set_1" /* key of the part of the head about the other model */

#endif

/* SPDX-License-Identifier: MIT
 * The table of data sheets. */
#include "host/plan/devices.h"

#include <stdio.h>

#include "host/base/str.h"

static const dd_sheet sheets[] = {
#define DD_SHEET(name, product, bytes, tensor, fp32, sms, memory) {name, product, bytes, tensor, fp32, sms, memory},
#include "host/plan/devices.def"
#undef DD_SHEET
};

#define N_SHEETS (sizeof sheets / sizeof sheets[0])

dd_status dd_sheet_find(const dd_sheet **out, const char *name, dd_err *err)
{
    char names[128];
    size_t at = 0;
    *out = NULL;
    for (size_t i = 0; i < N_SHEETS; i++) {
        if (dd_edit_distance(name, sheets[i].name) == 0) {
            *out = &sheets[i];
            return DD_OK;
        }
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i > 0 ? ", " : "", sheets[i].name);
    }
    return DD_FAIL(err, DD_ERR_ARG, "device '%.40s' has no data sheet here: %s", name, names);
}

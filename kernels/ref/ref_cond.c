/* SPDX-License-Identifier: MIT
 * Formula: c[s,l,:] = SiLU(temb[step + s,:] + emb[labels[l],:]), SiLU(z) = z / (1 + exp(-z)).
 * Layout: [slots, n_cond, D] in any format; slots past the last step are not written. Threads: one. Budget: none.
 * Preconditions: labels index emb (not checked: its length is not known here). Precision: double, one rounding. */
#include <math.h>

#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_format.h"

dd_status dd_ref_cond(const dd_exec *exec, const dd_cond_args *args)
{
    if (!dd_exec_ok(exec) || args == NULL || args->temb == NULL || args->emb == NULL) return DD_ERR_ARG;
    if (args->labels == NULL || args->c == NULL || args->slots < 0 || args->n_cond < 0 || args->d <= 0)
        return DD_ERR_ARG;
    if (*exec->step > args->steps || !dd_format_ok(args->c_format, args->ldc, args->d)) return DD_ERR_ARG;
    const int64_t left = args->steps - *exec->step, n = left < args->slots ? left : args->slots, d = args->d;
    for (int64_t l = 0; l < args->n_cond; l++)
        if (args->labels[l] < 0) return DD_ERR_ARG;
    for (int64_t s = 0; s < n; s++)
        for (int64_t l = 0; l < args->n_cond; l++) {
            const int64_t row = s * args->n_cond + l;
            for (int64_t i = 0; i < d; i++) {
                const double z = (double)args->temb[(*exec->step + s) * d + i] + args->emb[args->labels[l] * d + i];
                dd_ref_store(args->c, args->c_format, args->ldc, row, i, z / (1 + exp(-z)));
            }
            dd_ref_finish_row(args->c, args->c_format, args->ldc, row, d);
        }
    return DD_OK;
}

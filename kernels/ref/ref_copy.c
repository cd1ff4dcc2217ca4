/* SPDX-License-Identifier: MIT
 * One buffer to another; the buffers do not overlap. */
#include <string.h>

#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"

dd_status dd_ref_copy(const dd_exec *exec, const dd_copy_args *args)
{
    if (!dd_exec_ok(exec) || args == NULL) return DD_ERR_ARG;
    if (args->bytes == 0) return DD_OK;
    if (args->dst == NULL || args->src == NULL) return DD_ERR_ARG;
    memcpy(args->dst, args->src, args->bytes);
    return DD_OK;
}

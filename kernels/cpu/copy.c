/* SPDX-License-Identifier: MIT
 * One buffer to another; the buffers do not overlap. */
#include <string.h>

#include "kernels/cpu/work.h"

dd_status dd_cpu_copy(const dd_exec *exec, const dd_copy_args *args)
{
    if (!dd_cpu_exec_ok(exec, 0) || args == NULL) return DD_ERR_ARG;
    if (args->bytes == 0) return DD_OK;
    if (args->dst == NULL || args->src == NULL) return DD_ERR_ARG;
    memcpy(args->dst, args->src, args->bytes);
    return DD_OK;
}

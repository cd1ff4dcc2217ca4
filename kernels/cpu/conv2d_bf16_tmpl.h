/* SPDX-License-Identifier: MIT
 * The convolution of AVX512-BF16; all of it is conv2d_bf16_rows.h. */
#include "kernels/cpu/conv2d_bf16_rows.h"

static dd_status conv2d_bf16(const dd_exec *exec, const dd_conv2d_args *args)
{
    return conv2d_bf16_run(exec, args, conv2d_bf16_task);
}

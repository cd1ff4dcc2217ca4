/* SPDX-License-Identifier: MIT
 * The CUDA kernels as an implementation; in programs that are built with CK_DEVICE only. */
#ifndef DD_TESTS_CHECKKERNEL_DEVICE_DEVICE_H
#define DD_TESTS_CHECKKERNEL_DEVICE_DEVICE_H

#include "tests/checkkernel/check.h"

ck_impl ck_device_impl(void);
/* The op gemm by wgmma, where the device has it. */
ck_impl ck_device_wgmma_impl(void);
/* The op gemm by cuBLASLt, or what stands in for it. */
ck_impl ck_device_lt_impl(void);
/* The op conv2d by cuDNN, or what stands in for it. */
ck_impl ck_device_dnn_impl(void);

#endif

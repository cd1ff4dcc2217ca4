/* SPDX-License-Identifier: MIT
 * Uniform numbers into normal ones, as PyTorch's vectorised CPU code does it, bit for bit. Used by rng.c. */
#ifndef DD_HOST_SAMPLE_NORMAL_H
#define DD_HOST_SAMPLE_NORMAL_H

#include <stddef.h>

/* d [16 * blocks]: uniforms in [0,1), multiples of 2^-24, replaced by normals. Within each block of 16 the pair
 * (d[j], d[j+8]) becomes a Box-Muller pair. */
void dd_normal_blocks(float *d, size_t blocks);

/* Its two implementations, with equal results: multiply-adds by the C library, and by instructions of the CPU. */
void dd_normal_blocks_portable(float *d, size_t blocks);
void dd_normal_blocks_fma(float *d, size_t blocks); /* portable on a CPU without them */

#endif

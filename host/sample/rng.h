/* SPDX-License-Identifier: MIT
 * Random streams. `torch-cpu` reproduces torch.manual_seed(s); torch.randn(...) on x86-64 hosts with AVX2 bit for bit:
 * MT19937 and Box-Muller over blocks of 16, with the logarithm, sine and cosine of Cephes (S. Moshier). */
#ifndef DD_HOST_SAMPLE_RNG_H
#define DD_HOST_SAMPLE_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct dd_torch_rng {
    uint32_t mt[624];
    int pos;
    int has_cached; /* second normal of the path for fewer than 16 values; survives across calls, as upstream's does */
    double cached;
} dd_torch_rng;

void dd_torch_seed(dd_torch_rng *g, uint64_t seed); /* only the low 32 bits count */
uint32_t dd_torch_u32(dd_torch_rng *g);
void dd_torch_randn(dd_torch_rng *g, float *dst, size_t n); /* torch.randn of n float32 values */
uint32_t dd_torch_randint(dd_torch_rng *g, uint32_t range); /* one value of torch.randint(0, range) */

/* Uniform label of image i: a counter-based hash of (seed, i), free of modulo bias to 2^-32. 0 <= result < classes. */
uint32_t dd_label_hash(uint64_t seed, uint64_t i, uint32_t classes);

#endif

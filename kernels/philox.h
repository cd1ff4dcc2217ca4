/* SPDX-License-Identifier: MIT
 * Philox4x32-10, a counter-based generator: four 32-bit words are a function of a 128-bit counter and a 64-bit key
 * alone. J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC11, whose
 * constants these are. Integers are exact, so all backends share this one statement; what they make of u and v is
 * their own. */
#ifndef DD_KERNELS_PHILOX_H
#define DD_KERNELS_PHILOX_H

#include <math.h>
#include <stdint.h>

#ifdef __CUDACC__
#define DD_PHILOX_FN static __host__ __device__ __forceinline__
#else
#define DD_PHILOX_FN static inline
#endif

/* high, low: halves of the counter. */
DD_PHILOX_FN void dd_philox4x32(uint64_t high, uint64_t low, uint64_t key, uint32_t out[4])
{
    uint32_t a = (uint32_t)low, b = (uint32_t)(low >> 32), c = (uint32_t)high, d = (uint32_t)(high >> 32);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t p = (uint64_t)a * 0xd2511f53u, q = (uint64_t)c * 0xcd9e8d57u;
        a = (uint32_t)(q >> 32) ^ b ^ k0;
        b = (uint32_t)q;
        c = (uint32_t)(p >> 32) ^ d ^ k1;
        d = (uint32_t)p;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    out[0] = a;
    out[1] = b;
    out[2] = c;
    out[3] = d;
}

/* The uniforms of cuRAND's Box-Muller transform: u in (0,1], v in (0, 2 pi], the middles of 2^32 equal parts. The words
 * are rounded to float32 first and the multiply-add rounds once; u may become 1, never 0. */
DD_PHILOX_FN float dd_philox_u(uint32_t word) { return fmaf((float)word, 0x1p-32f, 0x1p-33f); }

DD_PHILOX_FN float dd_philox_v(uint32_t word) { return fmaf((float)word, 0x1.921fb6p-30f, 0x1.921fb6p-31f); }

#endif

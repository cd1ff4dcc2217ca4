/* SPDX-License-Identifier: MIT
 * Packing of keys and values of float32 into panels (panel.h) for the micro kernel. */
#ifndef DD_KERNELS_CPU_ATTENTION_PACK_TMPL_H
#define DD_KERNELS_CPU_ATTENTION_PACK_TMPL_H

#include "kernels/cpu/cpu_vec.h"
#include "kernels/ops.h"

/* dst[(e0 + i) * width + key] = k[key, e0 + i] for keys first .. first + width of one panel; zeros from key s on. */
static void attention_pack_keys(const float *k, int64_t ld, int64_t s, int64_t e, int64_t first, int64_t width,
                                float *dst)
{
    for (int64_t key = 0; key < width; key += 8)
        for (int64_t e0 = 0; e0 < e; e0 += 8) {
            float *d = dst + e0 * width + key;
            const int64_t n = s - first - key < 8 ? s - first - key : 8;
            const float *src = k + (first + key) * ld + e0;
#if DD_VL >= 8
            if (n == 8) {
                __m256 r[8], t[8];
                for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(src + i * ld);
                for (int i = 0; i < 4; i++) {
                    t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
                    t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
                }
                for (int i = 0; i < 8; i += 4) {
                    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
                    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
                    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
                    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
                }
                for (int i = 0; i < 4; i++) {
                    _mm256_storeu_ps(d + i * width, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
                    _mm256_storeu_ps(d + (i + 4) * width, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
                }
                continue;
            }
#endif
            for (int64_t i = 0; i < 8; i++)
                for (int64_t x = 0; x < 8; x++) d[i * width + x] = x < n ? src[x * ld + i] : 0.0f;
        }
}

static void attention_pack_values(const float *v, int64_t ld, int64_t s, int64_t keys, int64_t width, float *dst)
{
    for (int64_t i = 0; i < s; i++)
        for (int64_t x = 0; x < width; x += DD_CHUNK)
            memcpy(dst + i * width + x, v + i * ld + x, DD_CHUNK * sizeof *dst);
    memset(dst + s * width, 0, (size_t)((keys - s) * width) * sizeof *dst);
}

#endif

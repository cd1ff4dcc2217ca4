/* SPDX-License-Identifier: MIT
 * Packing of one head's K and V into the panels of panel_bf16.h, as pairs of bf16 in 32 bits. */
#ifndef DD_KERNELS_CPU_ATTENTION_BF16_PACK_H
#define DD_KERNELS_CPU_ATTENTION_BF16_PACK_H

#include "kernels/cpu/bf16_insn.h"
#include "kernels/cpu/panel_bf16.h"

/* Transposes 16 x 16 values of 32 bits: pairs of rows, of pairs of rows, then the quarters of the registers. */
DD_INLINE void bf16_transpose(vbf r[16])
{
    vbf t[16];
    DD_UNROLL(8)
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    DD_UNROLL(4)
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    DD_UNROLL(4)
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    DD_UNROLL(4)
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

/* k: rows of e bf16, s of them -> panels of 32 keys x e, zeros from key s to the end of the last panel. */
static void bf16_pack_keys(const uint16_t *k, int64_t ld, int64_t s, int64_t e, uint16_t *dst)
{
    for (int64_t key = 0; key < s; key += DD_PANEL_BF16, dst += DD_PANEL_BF16 * e)
        for (int64_t half = 0; half < DD_PANEL_BF16; half += 16)
            for (int64_t pair = 0; pair < e / 2; pair += 16) {
                const int n = e / 2 - pair < 16 ? (int)(e / 2 - pair) : 16;
                vbf r[16];
                DD_UNROLL(16)
                for (int i = 0; i < 16; i++) {
                    const int64_t row = key + half + i;
                    const __mmask16 live = row < s ? (__mmask16)~bf16_from(n) : 0;
                    r[i] = _mm512_maskz_loadu_epi32(live, k + (live ? row * ld + 2 * pair : 0));
                }
                bf16_transpose(r);
                uint16_t *d = dst + (pair * DD_PANEL_BF16 + half) * 2;
                for (int i = 0; i < n; i++) _mm512_store_si512(d + i * 2 * DD_PANEL_BF16, r[i]);
            }
}

/* 32 columns of two rows, as pairs. */
DD_INLINE void bf16_store_pairs(uint16_t *dst, vbf even, vbf odd)
{
    for (int v = 0; v < 2; v++) {
        const __m256i a = v ? _mm512_extracti64x4_epi64(even, 1) : _mm512_castsi512_si256(even);
        const __m256i b = v ? _mm512_extracti64x4_epi64(odd, 1) : _mm512_castsi512_si256(odd);
        const vbf low = _mm512_cvtepu16_epi32(a), high = _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16);
        _mm512_store_si512(dst + v * DD_PANEL_BF16, _mm512_or_si512(low, high));
    }
}

/* v: rows of e bf16, s of them -> panels of (chunks of 8 keys) x 32 columns, zeros behind key s and column e. */
static void bf16_pack_values(const uint16_t *v, int64_t ld, int64_t s, int64_t e, uint16_t *dst)
{
    const int64_t keys = (s + DD_CHUNK - 1) / DD_CHUNK * DD_CHUNK;
    for (int64_t col = 0; col < e; col += DD_PANEL_BF16) {
        const __mmask32 live = ~bf16_from(e - col < DD_PANEL_BF16 ? (int)(e - col) : DD_PANEL_BF16);
        for (int64_t key = 0; key < keys; key += 2, dst += 2 * DD_PANEL_BF16) {
            const __mmask32 even = key < s ? live : 0, odd = key + 1 < s ? live : 0;
            bf16_store_pairs(dst, _mm512_maskz_loadu_epi16(even, v + (even ? key * ld + col : 0)),
                             _mm512_maskz_loadu_epi16(odd, v + (odd ? (key + 1) * ld + col : 0)));
        }
    }
}

#endif

/* SPDX-License-Identifier: MIT
 * Barriers, warp collectives and matrix instructions, as translated code calls them. */
#ifndef EMU_WARP_H
#define EMU_WARP_H

#include "memory.h"

namespace emu
{

/* ---- barriers: count 0 is the whole block ------------------------------------------------------------------------ */

void bar_sync(uint32_t id, uint32_t count, bool aligned, const Site *site);
void bar_arrive(uint32_t id, uint32_t count, bool aligned, const Site *site);
uint32_t bar_red_popc(uint32_t id, uint32_t count, bool p, bool aligned, const Site *site);
bool bar_red_and(uint32_t id, uint32_t count, bool p, bool aligned, const Site *site);
bool bar_red_or(uint32_t id, uint32_t count, bool p, bool aligned, const Site *site);
void warp_sync(uint32_t mask, const Site *site);

/* ---- collectives ------------------------------------------------------------------------------------------------- */

uint32_t shfl_up(uint32_t a, uint32_t b, uint32_t c, uint32_t mask, bool &p, const Site *site);
uint32_t shfl_down(uint32_t a, uint32_t b, uint32_t c, uint32_t mask, bool &p, const Site *site);
uint32_t shfl_bfly(uint32_t a, uint32_t b, uint32_t c, uint32_t mask, bool &p, const Site *site);
uint32_t shfl_idx(uint32_t a, uint32_t b, uint32_t c, uint32_t mask, bool &p, const Site *site);
uint32_t vote_ballot(bool p, uint32_t mask, const Site *site);
bool vote_any(bool p, uint32_t mask, const Site *site);
bool vote_all(bool p, uint32_t mask, const Site *site);
bool vote_uni(bool p, uint32_t mask, const Site *site);
uint32_t match_any(uint64_t a, uint32_t mask, const Site *site);
uint32_t match_all(uint64_t a, uint32_t mask, bool &p, const Site *site);
uint32_t redux_add(uint32_t a, uint32_t mask, const Site *site);
int32_t redux_add(int32_t a, uint32_t mask, const Site *site);
uint32_t redux_min(uint32_t a, uint32_t mask, const Site *site);
int32_t redux_min(int32_t a, uint32_t mask, const Site *site);
uint32_t redux_max(uint32_t a, uint32_t mask, const Site *site);
int32_t redux_max(int32_t a, uint32_t mask, const Site *site);
uint32_t redux_and(uint32_t a, uint32_t mask, const Site *site);
uint32_t redux_or(uint32_t a, uint32_t mask, const Site *site);
uint32_t redux_xor(uint32_t a, uint32_t mask, const Site *site);

/* No lane may count on others being in step with it. */
inline uint32_t active_mask() { return 1u << self->lane; }

/* ---- matrices ---------------------------------------------------------------------------------------------------- */

enum MmaType { mma_bf16, mma_f16, mma_tf32 };
void mma_sync(MmaType type, int k, float *d, const uint32_t *a, const uint32_t *b, const float *c, const Site *site);
void ldmatrix_sync(int n, bool trans, uint32_t *regs, uint32_t addr, const uint32_t *row, const Site *site);

template <int K, MmaType T>
inline void mma(float *d, const uint32_t *a, const uint32_t *b, const float *c, const Site *site)
{
    mma_sync(T, K, d, a, b, c, site);
}

/* Lanes 0..8n-1 give the rows. They read them here, in instrumented code. */
template <int N> inline const uint8_t *row_pointer(uint64_t addr, const Site *site)
{
    return self->lane < 8 * N ? shared_ptr<16, false>(addr, site) : nullptr;
}

template <int N, bool TRANS> inline void ldmatrix(uint32_t *regs, const uint8_t *at, const Site *site)
{
    uint32_t row[4] = {0, 0, 0, 0};
    if (at)
        for (int i = 0; i < 4; i++) row[i] = load<uint32_t>(at, i);
    ldmatrix_sync(N, TRANS, regs, at ? static_cast<uint32_t>(at - grid.shared) : 0, row, site);
}

} // namespace emu

#endif

// SPDX-License-Identifier: MIT
// shfl, vote, match and redux, from the pseudocode of the PTX manual.
#include "collective.h"

#include "warp.h"

namespace emu
{
namespace
{

typedef Share *const *Shares;

template <class F> void each(uint32_t lanes, F f)
{
    for (; lanes; lanes &= lanes - 1) f(static_cast<uint32_t>(__builtin_ctz(lanes)));
}

// ---- shfl ----------------------------------------------------------------------------------------------------------

enum Mode { UP, DOWN, BFLY, IDX };

template <Mode M> void compute_shfl(Shares s, uint32_t lanes)
{
    each(lanes, [&](uint32_t lane) {
        const uint32_t seg = s[lane]->c >> 8 & 31, clamp = s[lane]->c & 31, b = s[lane]->b & 31;
        const int max_lane = static_cast<int>((lane & seg) | (clamp & ~seg)), min_lane = static_cast<int>(lane & seg);
        const int here = static_cast<int>(lane), shift = static_cast<int>(b);
        int j;
        bool p;
        switch (M) {
        case UP: j = here - shift, p = j >= max_lane; break;
        case DOWN: j = here + shift, p = j <= max_lane; break;
        case BFLY: j = here ^ shift, p = j <= max_lane; break;
        default: j = min_lane | (shift & ~static_cast<int>(seg)), p = j <= max_lane; break;
        }
        if (!p) j = here;
        s[lane]->q = p;
        // From a lane that takes no part comes nothing defined.
        s[lane]->out = lanes >> j & 1 ? s[j]->a : 0xffffffffu;
    });
}

template <Mode M> uint32_t shfl(uint32_t a, uint32_t b, uint32_t c, uint32_t mask, bool &p, const Site *site)
{
    Share s = {};
    s.compute = compute_shfl<M>;
    s.a = a, s.b = b, s.c = c;
    meet(mask, s, false, false, site);
    p = s.q;
    return static_cast<uint32_t>(s.out);
}

// ---- vote, match ---------------------------------------------------------------------------------------------------

void compute_ballot(Shares s, uint32_t lanes)
{
    uint32_t votes = 0;
    each(lanes, [&](uint32_t l) { votes |= static_cast<uint32_t>(s[l]->p) << l; });
    each(lanes, [&](uint32_t l) { s[l]->out = votes, s[l]->c = lanes; });
}

Share ballot(bool p, uint32_t mask, const Site *site)
{
    Share s = {};
    s.compute = compute_ballot;
    s.p = p;
    meet(mask, s, false, false, site);
    return s;
}

void compute_match(Shares s, uint32_t lanes)
{
    each(lanes, [&](uint32_t l) {
        uint32_t same = 0;
        each(lanes, [&](uint32_t k) { same |= static_cast<uint32_t>(s[k]->a == s[l]->a) << k; });
        s[l]->out = same;
        s[l]->q = same == lanes;
    });
}

Share match(uint64_t a, uint32_t mask, const Site *site)
{
    Share s = {};
    s.compute = compute_match;
    s.a = a;
    meet(mask, s, false, false, site);
    return s;
}

// ---- redux ---------------------------------------------------------------------------------------------------------

template <class T, T (*OP)(T, T)> void compute_redux(Shares s, uint32_t lanes)
{
    T r = static_cast<T>(s[__builtin_ctz(lanes)]->a);
    each(lanes & (lanes - 1), [&](uint32_t l) { r = OP(r, static_cast<T>(s[l]->a)); });
    each(lanes, [&](uint32_t l) { s[l]->out = static_cast<uint32_t>(r); });
}

template <class T, T (*OP)(T, T)> T redux(T a, uint32_t mask, const Site *site)
{
    Share s = {};
    s.compute = compute_redux<T, OP>;
    s.a = static_cast<uint32_t>(a);
    meet(mask, s, false, false, site);
    return static_cast<T>(s.out);
}

template <class T> T sum(T a, T b) { return static_cast<T>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b)); }
template <class T> T least(T a, T b) { return b < a ? b : a; }
template <class T> T most(T a, T b) { return b > a ? b : a; }
uint32_t both(uint32_t a, uint32_t b) { return a & b; }
uint32_t either(uint32_t a, uint32_t b) { return a | b; }
uint32_t differ(uint32_t a, uint32_t b) { return a ^ b; }

} // namespace

uint32_t shfl_up(uint32_t a, uint32_t b, uint32_t c, uint32_t m, bool &p, const Site *site)
{
    return shfl<UP>(a, b, c, m, p, site);
}
uint32_t shfl_down(uint32_t a, uint32_t b, uint32_t c, uint32_t m, bool &p, const Site *site)
{
    return shfl<DOWN>(a, b, c, m, p, site);
}
uint32_t shfl_bfly(uint32_t a, uint32_t b, uint32_t c, uint32_t m, bool &p, const Site *site)
{
    return shfl<BFLY>(a, b, c, m, p, site);
}
uint32_t shfl_idx(uint32_t a, uint32_t b, uint32_t c, uint32_t m, bool &p, const Site *site)
{
    return shfl<IDX>(a, b, c, m, p, site);
}

uint32_t vote_ballot(bool p, uint32_t mask, const Site *site)
{
    return static_cast<uint32_t>(ballot(p, mask, site).out);
}
bool vote_any(bool p, uint32_t mask, const Site *site) { return ballot(p, mask, site).out != 0; }
bool vote_all(bool p, uint32_t mask, const Site *site)
{
    const Share s = ballot(p, mask, site);
    return s.out == s.c;
}
bool vote_uni(bool p, uint32_t mask, const Site *site)
{
    const Share s = ballot(p, mask, site);
    return s.out == s.c || s.out == 0;
}

uint32_t match_any(uint64_t a, uint32_t mask, const Site *site)
{
    return static_cast<uint32_t>(match(a, mask, site).out);
}
uint32_t match_all(uint64_t a, uint32_t mask, bool &p, const Site *site)
{
    const Share s = match(a, mask, site);
    p = s.q;
    return s.q ? static_cast<uint32_t>(s.out) : 0;
}

uint32_t redux_add(uint32_t a, uint32_t m, const Site *site) { return redux<uint32_t, sum>(a, m, site); }
int32_t redux_add(int32_t a, uint32_t m, const Site *site) { return redux<int32_t, sum>(a, m, site); }
uint32_t redux_min(uint32_t a, uint32_t m, const Site *site) { return redux<uint32_t, least>(a, m, site); }
int32_t redux_min(int32_t a, uint32_t m, const Site *site) { return redux<int32_t, least>(a, m, site); }
uint32_t redux_max(uint32_t a, uint32_t m, const Site *site) { return redux<uint32_t, most>(a, m, site); }
int32_t redux_max(int32_t a, uint32_t m, const Site *site) { return redux<int32_t, most>(a, m, site); }
uint32_t redux_and(uint32_t a, uint32_t m, const Site *site) { return redux<uint32_t, both>(a, m, site); }
uint32_t redux_or(uint32_t a, uint32_t m, const Site *site) { return redux<uint32_t, either>(a, m, site); }
uint32_t redux_xor(uint32_t a, uint32_t m, const Site *site) { return redux<uint32_t, differ>(a, m, site); }

} // namespace emu

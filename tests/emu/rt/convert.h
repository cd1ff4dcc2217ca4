/* SPDX-License-Identifier: MIT
 * cvt. Floating point to integer clamps, and takes NaN for zero; integers wrap unless .sat; .sat of floating point
 * results means [0, 1]. */
#ifndef EMU_CONVERT_H
#define EMU_CONVERT_H

#include "float.h"
#include "int.h"

namespace emu
{

template <class D, bool SAT, class S> inline D cvt_int(S s)
{
    if constexpr (SAT) {
        const __int128 v = s, lo = std::numeric_limits<D>::min(), hi = std::numeric_limits<D>::max();
        return static_cast<D>(v < lo ? lo : v > hi ? hi : v);
    } else {
        return static_cast<D>(s);
    }
}

template <class D, Round R, bool FTZ, class S> inline D cvt_to_int(S s)
{
    double x = to_double(s);
    if (FTZ && fabs(x) < 0x1p-126) x = 0;
    if (x != x) return 0;
    x = round_integer(x, R);
    /* The limits as powers of two: exact in double. */
    const double above = ldexp(1.0, width<D> - (is_signed<D> ? 1 : 0)), below = is_signed<D> ? -above : 0;
    if (x >= above) return std::numeric_limits<D>::max();
    if (x <= below) return std::numeric_limits<D>::min();
    return static_cast<D>(x);
}

template <class D, Round R, bool SAT, class S> inline D cvt_from_int(S s)
{
    if constexpr (std::is_same_v<D, float> || std::is_same_v<D, double>) {
        volatile S v = s;
        const D r = with_rounding<R>([&] { return static_cast<D>(v); });
        return SAT ? saturate(r) : r;
    } else {
        /* What a double cannot hold is kept as one sticky bit. */
        const bool negative = is_signed<S> && s < 0;
        uint64_t magnitude = negative ? 0 - static_cast<uint64_t>(s) : static_cast<uint64_t>(s);
        if (magnitude >> 52) magnitude = (magnitude & ~0xfffull) | ((magnitude & 0xfff) ? 0x1000 : 0);
        const double x = negative ? -static_cast<double>(magnitude) : static_cast<double>(magnitude);
        D d;
        from_double(d, SAT ? saturate(x) : x, R);
        return d;
    }
}

template <class D, Round R, bool FTZ, bool SAT, class S> inline D cvt_float(S s)
{
    constexpr bool whole = R == rni || R == rzi || R == rmi || R == rpi;
    constexpr Round r = whole ? rn : R;
    double x = to_double(s);
    if (FTZ && fabs(x) < 0x1p-126) x = copysign(0.0, x);
    if (whole) x = round_integer(x, R);
    if (SAT) x = saturate(x);
    if constexpr (std::is_same_v<D, double>) {
        return x;
    } else if constexpr (std::is_same_v<D, float>) {
        volatile double v = x;
        return ftz_<FTZ>(with_rounding<r>([&] { return static_cast<float>(v); }));
    } else {
        D d;
        from_double(d, x, r);
        return d;
    }
}

template <class D, Round R, bool RELU, bool SATFINITE, class S> inline D cvt_half(S s)
{
    if constexpr (std::is_same_v<D, bf16> && std::is_same_v<S, float> && R == rn && !RELU && !SATFINITE)
        return bf16_nearest(s);
    const double x = to_double(s);
    D d;
    from_double(d, RELU && x < 0 ? 0.0 : x, R, SATFINITE);
    return d;
}

/* The first operand is the upper half. */
template <class D, Round R, bool RELU, bool SATFINITE> inline D cvt_pack2(float a, float b)
{
    typedef decltype(D::lo) H;
    return D{cvt_half<H, R, RELU, SATFINITE>(b), cvt_half<H, R, RELU, SATFINITE>(a)};
}

/* 8 + 10 bits in the upper part of a register. rna: ties away from zero. */
template <Round R, bool RELU, bool SATFINITE> inline uint32_t cvt_tf32(float a)
{
    if (a != a) return 0x7fffffff;
    const double x = limit(round_bits(RELU && a < 0 ? 0.0f : a, 11, -126, R), 0x1.ffcp127, R, SATFINITE);
    return as<uint32_t>(static_cast<float>(x));
}

/* Two saturated integers in front of what c shifts out. */
template <class D> inline uint32_t cvt_pack_int(int32_t a, int32_t b, uint32_t c)
{
    const uint32_t hi = static_cast<Unsigned<D>>(cvt_int<D, true>(a)),
                   lo = static_cast<Unsigned<D>>(cvt_int<D, true>(b));
    if constexpr (sizeof(D) == 2) return hi << 16 | lo;
    return c << 16 | hi << 8 | lo;
}

} // namespace emu

#endif

/* SPDX-License-Identifier: MIT
 * Registers as bits, and the small floating point formats. */
#ifndef EMU_NUMBER_H
#define EMU_NUMBER_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <limits>
#include <type_traits>

namespace emu
{

enum Round { rn, rz, rm, rp, rni, rzi, rmi, rpi, rna };

struct f16 {
    uint16_t bits;
};
struct bf16 {
    uint16_t bits;
};
struct f16x2 {
    f16 lo, hi;
};
struct bf16x2 {
    bf16 lo, hi;
};

template <size_t N> struct Bits;
template <> struct Bits<1> {
    typedef uint8_t type;
};
template <> struct Bits<2> {
    typedef uint16_t type;
};
template <> struct Bits<4> {
    typedef uint32_t type;
};
template <> struct Bits<8> {
    typedef uint64_t type;
};
template <> struct Bits<16> {
    typedef unsigned __int128 type;
};

/* ---- registers --------------------------------------------------------------------------------------------------- */

/* The low bytes of a register, as a T. */
template <class T, class S> inline T as(S s)
{
    static_assert(sizeof(T) <= sizeof(S), "a register is narrower than the operand");
    T t;
    memcpy(&t, &s, sizeof t);
    return t;
}

template <class S> inline typename Bits<sizeof(S)>::type as_bits(S s) { return as<typename Bits<sizeof(S)>::type>(s); }

/* A register gets a value of its own size; or a narrower one, extended by its sign if it has one. */
template <class R, class T> inline void put(R &reg, T value)
{
    static_assert(sizeof(T) <= sizeof(R), "a register is narrower than the result");
    if constexpr (sizeof(T) == sizeof(R)) {
        reg = as<R>(value);
    } else if constexpr (std::is_integral_v<T>) {
        reg = static_cast<R>(value);
    } else {
        reg = static_cast<R>(as_bits(value));
    }
}

template <class P, class T> inline P part(T value, int i)
{
    P p[sizeof(T) / sizeof(P)];
    memcpy(p, &value, sizeof value);
    return p[i];
}

template <class T, class... P> inline T pack(P... parts)
{
    const typename std::common_type<P...>::type p[] = {parts...};
    static_assert(sizeof p == sizeof(T), "parts do not fill the register");
    T t;
    memcpy(&t, p, sizeof t);
    return t;
}

inline constexpr float poison_f32 = std::numeric_limits<float>::quiet_NaN();
inline constexpr double poison_f64 = std::numeric_limits<double>::quiet_NaN();

/* The NaN that every instruction with a NaN of its own making returns. */
inline float canonical_nan(float) { return as<float>(0x7fffffffu); }
inline double canonical_nan(double) { return as<double>(0x7fffffffffffffffull); }

/* ---- rounding ---------------------------------------------------------------------------------------------------- */

inline double round_integer(double x, Round r)
{
    switch (r) {
    case rz:
    case rzi: return trunc(x);
    case rm:
    case rmi: return floor(x);
    case rp:
    case rpi: return ceil(x);
    case rna: return round(x);
    default: return nearbyint(x);
    }
}

/* x to p significant bits, none below 2^(emin - p + 1): the value in a format, without its upper limit. */
inline double round_bits(double x, int p, int emin, Round r)
{
    if (x == 0 || !isfinite(x)) return x;
    int e;
    frexp(x, &e);
    const int q = (e - 1 > emin ? e - 1 : emin) - (p - 1);
    return ldexp(round_integer(ldexp(x, -q), r), q);
}

/* What lies beyond the largest finite number of a format becomes it, or infinity. */
inline double limit(double x, double max, Round r, bool satfinite)
{
    if (!(fabs(x) > max)) return x;
    const bool stay = satfinite || r == rz || (r == rm && x > 0) || (r == rp && x < 0);
    return stay ? copysign(max, x) : copysign(HUGE_VAL, x);
}

/* a + b, the last bit set if the sum is not exact: rounded once more to fewer bits, it is as if rounded once. */
inline double add_odd(double a, double b)
{
    const double s = a + b;
    if (!isfinite(s)) return s;
    const double t = s - a, error = (a - (s - t)) + (b - t);
    if (error == 0) return s;
    uint64_t u = as<uint64_t>(s);
    if (u & 1) return s;
    return as<double>((error > 0) == (s > 0) ? u + 1 : s == 0 ? as<uint64_t>(error) : u - 1);
}

/* ---- formats ----------------------------------------------------------------------------------------------------- */

inline double to_double(float x) { return x; }
inline double to_double(double x) { return x; }
inline double to_double(bf16 x) { return as<float>(static_cast<uint32_t>(x.bits) << 16); }
inline double to_double(f16 x)
{
    const uint32_t e = x.bits >> 10 & 31, m = x.bits & 1023, sign = static_cast<uint32_t>(x.bits >> 15) << 31;
    if (e == 31) return as<float>(sign | 0x7f800000u | m << 13);
    if (e == 0) return copysign(m * 0x1p-24, x.bits >> 15 ? -1.0 : 1.0);
    return as<float>(sign | (e + 112) << 23 | m << 13);
}
template <class H> inline float to_float(H x) { return static_cast<float>(to_double(x)); }

inline void from_double(bf16 &out, double x, Round r, bool satfinite = false)
{
    if (x != x) {
        out.bits = 0x7fff;
        return;
    }
    const float f = static_cast<float>(limit(round_bits(x, 8, -126, r), 0x1.fep127, r, satfinite));
    out.bits = static_cast<uint16_t>(as<uint32_t>(f) >> 16);
}

inline void from_double(f16 &out, double x, Round r, bool satfinite = false)
{
    if (x != x) {
        out.bits = 0x7fff;
        return;
    }
    const double v = fabs(limit(round_bits(x, 11, -14, r), 65504.0, r, satfinite));
    const uint16_t sign = signbit(x) ? 0x8000 : 0;
    if (!(v < HUGE_VAL)) {
        out.bits = sign | 0x7c00;
    } else if (v < 0x1p-14) {
        out.bits = static_cast<uint16_t>(sign | static_cast<uint16_t>(v * 0x1p24));
    } else {
        const uint32_t u = as<uint32_t>(static_cast<float>(v));
        out.bits = static_cast<uint16_t>(sign | ((u >> 13) - (112u << 10)));
    }
}

/* bf16, nearest even, without the detour: most conversions are this one. */
inline bf16 bf16_nearest(float x)
{
    const uint32_t u = as<uint32_t>(x);
    if (x != x) return bf16{0x7fff};
    return bf16{static_cast<uint16_t>((u + 0x7fff + (u >> 16 & 1)) >> 16)};
}

} // namespace emu

#endif

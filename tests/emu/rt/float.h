/* SPDX-License-Identifier: MIT
 * Floating point instructions. Results of .rn .rz .rm .rp are rounded once and correctly. Those called approx are
 * computed in double and rounded: better than hardware, so last bits differ from it. */
#ifndef EMU_FLOAT_H
#define EMU_FLOAT_H

#include <fenv.h>

#include "number.h"

namespace emu
{

inline float flush(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }
template <bool FTZ, class T> inline T ftz_(T x)
{
    if constexpr (FTZ) {
        return flush(x);
    } else {
        return x;
    }
}
template <class T> inline T saturate(T x) { return x >= 1 ? T(1) : x > 0 ? x : T(0); } /* NaN and -0 become +0 */

template <Round R, class F> inline auto with_rounding(F f)
{
    if constexpr (R == rn) {
        return f();
    } else {
        const int old = fegetround();
        fesetround(R == rz ? FE_TOWARDZERO : R == rm ? FE_DOWNWARD : FE_UPWARD);
        volatile auto result = f();
        fesetround(old);
        return +result;
    }
}

template <Round R, bool FTZ, bool SAT, class T, class F> inline T arithmetic(F f)
{
    const T result = ftz_<FTZ>(static_cast<T>(with_rounding<R>(f)));
    return SAT ? saturate(result) : result;
}

/* volatile: with another rounding mode nothing may be computed ahead of time. */
#define EMU_BINARY(name, op)                                                              \
    template <Round R, bool FTZ, bool SAT, class T> inline T name(T a, T b)               \
    {                                                                                     \
        a = ftz_<FTZ>(a), b = ftz_<FTZ>(b);                                               \
        if constexpr (R == rn) return arithmetic<R, FTZ, SAT, T>([=] { return a op b; }); \
        volatile T va = a, vb = b;                                                        \
        return arithmetic<R, FTZ, SAT, T>([&] { return va op vb; });                      \
    }
EMU_BINARY(fp_add, +)
EMU_BINARY(fp_sub, -)
EMU_BINARY(fp_mul, *)
EMU_BINARY(fdivide, /)
#undef EMU_BINARY

template <Round R, bool FTZ, class T> inline T fp_div(T a, T b) { return fdivide<R, FTZ, false>(a, b); }

inline float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }
template <Round R, bool FTZ, bool SAT, class T> inline T fp_fma(T a, T b, T c)
{
    a = ftz_<FTZ>(a), b = ftz_<FTZ>(b), c = ftz_<FTZ>(c);
    if constexpr (R == rn) return arithmetic<R, FTZ, SAT, T>([=] { return fused(a, b, c); });
    volatile T va = a, vb = b, vc = c;
    return arithmetic<R, FTZ, SAT, T>([&] { return fused(va, vb, vc); });
}

template <Round R, bool FTZ, class T> inline T fp_sqrt(T a)
{
    volatile T v = ftz_<FTZ>(a);
    return arithmetic<R, FTZ, false, T>(
        [&] { return static_cast<T>(sizeof(T) == 4 ? sqrtf(static_cast<float>(v)) : sqrt(v)); });
}

/* ---- approximate functions --------------------------------------------------------------------------------------- */

template <bool FTZ, class F> inline float approx(float x, F f)
{
    return ftz_<FTZ>(static_cast<float>(f(to_double(ftz_<FTZ>(x)))));
}
template <bool FTZ> inline float fp_ex2(float a) { return approx<FTZ>(a, static_cast<double (*)(double)>(exp2)); }
template <bool FTZ> inline float fp_lg2(float a) { return approx<FTZ>(a, static_cast<double (*)(double)>(log2)); }
template <bool FTZ> inline float fp_sin(float a) { return approx<FTZ>(a, static_cast<double (*)(double)>(sin)); }
template <bool FTZ> inline float fp_cos(float a) { return approx<FTZ>(a, static_cast<double (*)(double)>(cos)); }
template <bool FTZ> inline float fp_tanh(float a) { return approx<FTZ>(a, static_cast<double (*)(double)>(tanh)); }
template <bool FTZ> inline float fp_rsqrt(float a)
{
    return approx<FTZ>(a, [](double x) { return 1 / sqrt(x); });
}
template <bool FTZ> inline double fp_rsqrt(double a) { return 1 / sqrt(a); }

/* The upper half of the bits; subnormals are zero. */
inline double rcp_approx_f64(double a)
{
    const double x = fabs(a) < 0x1p-1022 ? copysign(0.0, a) : a, r = 1 / x;
    return as<double>(as<uint64_t>(fabs(r) < 0x1p-1022 ? copysign(0.0, r) : r) & ~0xffffffffull);
}

/* ---- signs, extremes, tests -------------------------------------------------------------------------------------- */

template <bool FTZ, class T> inline T fp_abs(T a) { return ftz_<FTZ>(static_cast<T>(::fabs(a))); }
template <bool FTZ, class T> inline T fp_neg(T a) { return ftz_<FTZ>(-a); }
inline float fp_copysign(float a, float b) { return copysignf(b, a); }
inline double fp_copysign(double a, double b) { return copysign(b, a); }

/* One NaN is passed over, two give one; -0 is less than +0. NAN: any NaN gives one. */
template <bool NAN_, bool XOR, bool MAX, class T> inline T extreme(T a, T b)
{
    T x = a, y = b;
    if (XOR) x = static_cast<T>(::fabs(a)), y = static_cast<T>(::fabs(b));
    T r;
    if (x != x || y != y) {
        r = NAN_ || (x != x && y != y) ? canonical_nan(T()) : x != x ? y : x;
    } else if (x == y) {
        r = (signbit(x) != 0) != MAX ? x : y;
    } else {
        r = (x < y) != MAX ? x : y;
    }
    if (XOR && r == r) r = static_cast<T>(copysign(r, (signbit(a) != 0) != (signbit(b) != 0) ? -1.0 : 1.0));
    return r;
}
template <bool FTZ, bool NAN_, bool XOR, class T> inline T fp_min(T a, T b)
{
    return extreme<NAN_, XOR, false>(ftz_<FTZ>(a), ftz_<FTZ>(b));
}
template <bool FTZ, bool NAN_, bool XOR, class T> inline T fp_max(T a, T b)
{
    return extreme<NAN_, XOR, true>(ftz_<FTZ>(a), ftz_<FTZ>(b));
}

template <class T> inline bool testp_finite(T a) { return isfinite(a); }
template <class T> inline bool testp_infinite(T a) { return isinf(a); }
template <class T> inline bool testp_number(T a) { return !isnan(a); }
template <class T> inline bool testp_notanumber(T a) { return isnan(a); }
template <class T> inline bool testp_normal(T a) { return isnormal(a) || a == 0; } /* PTX counts zero as normal */
template <class T> inline bool testp_subnormal(T a) { return fpclassify(a) == FP_SUBNORMAL; }

/* ---- comparison: eq .. ge are false with a NaN, equ .. geu true -------------------------------------------------- */

template <class T> inline bool unordered(T a, T b) { return a != a || b != b; }
template <bool FTZ, class T> inline auto comparable(T a)
{
    if constexpr (std::is_same_v<T, f16> || std::is_same_v<T, bf16>) {
        return to_double(a);
    } else if constexpr (std::is_same_v<T, float>) {
        return ftz_<FTZ>(a);
    } else {
        return a;
    }
}
#define EMU_COMPARE(name, expr)                                               \
    template <bool FTZ, class T> inline bool cmp_##name(T a_, T b_)           \
    {                                                                         \
        const auto a = comparable<FTZ>(a_), b = comparable<FTZ>(b_);          \
        return expr;                                                          \
    }                                                                         \
    template <bool FTZ, class T> inline bool cmp2_##name(T a, T b, int i)     \
    {                                                                         \
        return i ? cmp_##name<FTZ>(a.hi, b.hi) : cmp_##name<FTZ>(a.lo, b.lo); \
    }
EMU_COMPARE(eq, a == b)
EMU_COMPARE(ne, a != b && !unordered(a, b))
EMU_COMPARE(lt, a < b)
EMU_COMPARE(le, a <= b)
EMU_COMPARE(gt, a > b)
EMU_COMPARE(ge, a >= b)
EMU_COMPARE(lo, a < b)
EMU_COMPARE(ls, a <= b)
EMU_COMPARE(hi, a > b)
EMU_COMPARE(hs, a >= b)
EMU_COMPARE(equ, a == b || unordered(a, b))
EMU_COMPARE(neu, a != b)
EMU_COMPARE(ltu, !(a >= b))
EMU_COMPARE(leu, !(a > b))
EMU_COMPARE(gtu, !(a <= b))
EMU_COMPARE(geu, !(a < b))
EMU_COMPARE(num, !unordered(a, b))
EMU_COMPARE(nan, unordered(a, b))
#undef EMU_COMPARE

/* True is all ones in integers, 1.0 in floating point. */
template <class T> inline T set_result(bool p)
{
    if constexpr (std::is_integral_v<T>) {
        return static_cast<T>(p ? ~0ull : 0);
    } else if constexpr (std::is_same_v<T, float>) {
        return p ? 1.0f : 0.0f;
    } else {
        return T{static_cast<uint16_t>(!p ? 0 : std::is_same_v<T, f16> ? 0x3c00 : 0x3f80)};
    }
}
template <class T> inline T set_result2(bool lo, bool hi)
{
    if constexpr (std::is_integral_v<T>) {
        return static_cast<T>((lo ? 0xffffu : 0) | (hi ? 0xffff0000u : 0));
    } else {
        return T{set_result<decltype(T::lo)>(lo), set_result<decltype(T::hi)>(hi)};
    }
}

/* ---- f16 and bf16: exact in double, rounded once ----------------------------------------------------------------- */

template <class H> inline constexpr bool is_pair = std::is_same_v<H, f16x2> || std::is_same_v<H, bf16x2>;
template <class H> inline H half_nearest(double x)
{
    H h;
    from_double(h, x, rn);
    return h;
}
template <class H, class F, class... A> inline H lanewise(F f, A... a)
{
    if constexpr (is_pair<H>) {
        return H{f(a.lo...), f(a.hi...)};
    } else {
        return f(a...);
    }
}
template <class H, class F> inline H half_map(H a, F f)
{
    return lanewise<H>([f](auto x) { return half_nearest<decltype(x)>(f(to_float(x))); }, a);
}
#define EMU_HALF(name, expr)                                                 \
    template <bool SAT, class H> inline H name(H a, H b)                     \
    {                                                                        \
        return lanewise<H>(                                                  \
            [](auto x_, auto y_) {                                           \
                const double x = to_double(x_), y = to_double(y_), r = expr; \
                return half_nearest<decltype(x_)>(SAT ? saturate(r) : r);    \
            },                                                               \
            a, b);                                                           \
    }
EMU_HALF(half_add, add_odd(x, y))
EMU_HALF(half_sub, add_odd(x, -y))
EMU_HALF(half_mul, x *y)
#undef EMU_HALF
template <bool SAT, bool RELU, class H> inline H half_fma(H a, H b, H c)
{
    return lanewise<H>(
        [](auto x, auto y, auto z) {
            const double product = to_double(x) * to_double(y), r = add_odd(product, to_double(z));
            return half_nearest<decltype(x)>(SAT ? saturate(r) : RELU && r < 0 ? 0.0 : r);
        },
        a, b, c);
}
template <bool NAN_, bool XOR, class H> inline H half_min(H a, H b)
{
    return lanewise<H>(
        [](auto x, auto y) { return half_nearest<decltype(x)>(extreme<NAN_, XOR, false>(to_double(x), to_double(y))); },
        a, b);
}
template <bool NAN_, bool XOR, class H> inline H half_max(H a, H b)
{
    return lanewise<H>(
        [](auto x, auto y) { return half_nearest<decltype(x)>(extreme<NAN_, XOR, true>(to_double(x), to_double(y))); },
        a, b);
}
template <class H> inline H half_neg(H a)
{
    return lanewise<H>([](auto x) { return decltype(x){static_cast<uint16_t>(x.bits ^ 0x8000)}; }, a);
}
template <class H> inline H half_abs(H a)
{
    return lanewise<H>([](auto x) { return decltype(x){static_cast<uint16_t>(x.bits & 0x7fff)}; }, a);
}

inline f16 atomic_sum(f16 a, f16 b) { return half_add<false>(a, b); }
inline bf16 atomic_sum(bf16 a, bf16 b) { return half_add<false>(a, b); }
inline f16x2 atomic_sum(f16x2 a, f16x2 b) { return half_add<false>(a, b); }
inline bf16x2 atomic_sum(bf16x2 a, bf16x2 b) { return half_add<false>(a, b); }

} // namespace emu

#endif

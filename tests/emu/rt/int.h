/* SPDX-License-Identifier: MIT
 * Integer instructions. Arithmetic wraps, so it is done without signs; shifts beyond the width are defined. */
#ifndef EMU_INT_H
#define EMU_INT_H

#include "number.h"
#include "thread.h"

namespace emu
{

template <class T> using Unsigned = std::make_unsigned_t<T>;
template <class T> inline constexpr bool is_signed = std::is_signed_v<T>;
template <class T> inline constexpr unsigned width = 8 * sizeof(T);
template <class T> struct Wide;
template <> struct Wide<uint16_t> {
    typedef uint32_t type;
};
template <> struct Wide<int16_t> {
    typedef int32_t type;
};
template <> struct Wide<uint32_t> {
    typedef uint64_t type;
};
template <> struct Wide<int32_t> {
    typedef int64_t type;
};
template <> struct Wide<uint64_t> {
    typedef unsigned __int128 type;
};
template <> struct Wide<int64_t> {
    typedef __int128 type;
};

/* ---- arithmetic -------------------------------------------------------------------------------------------------- */

/* Operands of 16 bits are widened first: int would overflow. */
template <class T> inline uint64_t u(T a) { return static_cast<uint64_t>(static_cast<Unsigned<T>>(a)); }
template <class T> inline T iadd(T a, T b) { return static_cast<T>(u(a) + u(b)); }
template <class T> inline T isub(T a, T b) { return static_cast<T>(u(a) - u(b)); }
template <class T> inline T imul(T a, T b) { return static_cast<T>(u(a) * u(b)); }
template <class T> inline T imad(T a, T b, T c) { return static_cast<T>(u(a) * u(b) + u(c)); }
template <class T> inline T ineg(T a) { return static_cast<T>(0 - u(a)); }
template <class T> inline T iabs(T a) { return a < 0 ? ineg(a) : a; }
template <class T> inline T imin(T a, T b) { return b < a ? b : a; }
template <class T> inline T imax(T a, T b) { return b > a ? b : a; }

template <class T> inline typename Wide<T>::type imul_wide(T a, T b)
{
    typedef typename Wide<T>::type W;
    return static_cast<W>(a) * static_cast<W>(b);
}
template <class T> inline T imul_hi(T a, T b) { return static_cast<T>(imul_wide(a, b) >> width<T>); }

inline int32_t clamp32(int64_t x)
{
    return x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : static_cast<int32_t>(x);
}
inline int32_t iadd_sat(int32_t a, int32_t b) { return clamp32(static_cast<int64_t>(a) + b); }
inline int32_t isub_sat(int32_t a, int32_t b) { return clamp32(static_cast<int64_t>(a) - b); }

/* Extended precision: carry (or borrow) in, carry out into the condition code if asked for. */
template <class T> inline T iadd_cc(T a, T b, bool in, uint32_t &cc)
{
    typedef Unsigned<T> U;
    const u128 sum = static_cast<u128>(static_cast<U>(a)) + static_cast<U>(b) + in;
    cc = static_cast<uint32_t>(sum >> width<T>) & 1;
    return static_cast<T>(sum);
}
template <class T> inline T isub_cc(T a, T b, bool in, uint32_t &cc)
{
    typedef Unsigned<T> U;
    const u128 difference = static_cast<u128>(static_cast<U>(a)) - static_cast<U>(b) - in;
    cc = static_cast<uint32_t>(difference >> width<T>) & 1;
    return static_cast<T>(difference);
}
template <class T, bool C> inline T iaddc(T a, T b, uint32_t &cc)
{
    uint32_t out;
    const T sum = iadd_cc<T>(a, b, cc != 0, out);
    if (C) cc = out;
    return sum;
}
template <class T, bool C> inline T isubc(T a, T b, uint32_t &cc)
{
    uint32_t out;
    const T difference = isub_cc<T>(a, b, cc != 0, out);
    if (C) cc = out;
    return difference;
}

/* Operands of 24 bits, extended by their sign if they have one: bits 47..16 or 31..0 of the product. */
template <class T> inline int64_t low24(T a)
{
    return is_signed<T> ? static_cast<int32_t>(u(a) << 8) >> 8 : static_cast<int64_t>(u(a) & 0xffffff);
}
template <class T> inline T imul24_lo(T a, T b) { return static_cast<T>(low24(a) * low24(b)); }
template <class T> inline T imul24_hi(T a, T b) { return static_cast<T>(low24(a) * low24(b) >> 16); }
template <class T> inline T isad(T a, T b, T c) { return iadd(c, static_cast<T>(a < b ? u(b) - u(a) : u(a) - u(b))); }

/* Division by zero has no defined result: all ones, as hardware gives, not a trap. */
template <class T> inline T idiv(T a, T b)
{
    if (b == 0) return static_cast<T>(~0ull);
    if (is_signed<T> && static_cast<T>(~0ull) == b) return ineg(a);
    return static_cast<T>(a / b);
}
template <class T> inline T irem(T a, T b)
{
    if (b == 0) return a;
    if (is_signed<T> && static_cast<T>(~0ull) == b) return 0;
    return static_cast<T>(a % b);
}

template <class A> inline int32_t byte_of(A a, int i)
{
    const uint32_t b = u(a) >> 8 * i & 255;
    return is_signed<A> ? static_cast<int8_t>(b) : static_cast<int32_t>(b);
}
template <class A> inline int32_t half_of(A a, int i)
{
    const uint32_t h = u(a) >> 16 * i & 0xffff;
    return is_signed<A> ? static_cast<int16_t>(h) : static_cast<int32_t>(h);
}
template <class A, class B> inline uint32_t dp4a(A a, B b, uint32_t c)
{
    for (int i = 0; i < 4; i++) c += static_cast<uint32_t>(byte_of(a, i) * byte_of(b, i));
    return c;
}
template <class A, class B> inline uint32_t dp2a(A a, B b, uint32_t c, int first)
{
    for (int i = 0; i < 2; i++) c += static_cast<uint32_t>(half_of(a, i) * byte_of(b, first + i));
    return c;
}
template <class A, class B> inline uint32_t dp2a_lo(A a, B b, uint32_t c) { return dp2a(a, b, c, 0); }
template <class A, class B> inline uint32_t dp2a_hi(A a, B b, uint32_t c) { return dp2a(a, b, c, 2); }

/* ---- bits -------------------------------------------------------------------------------------------------------- */

inline uint32_t popc(uint32_t a) { return static_cast<uint32_t>(__builtin_popcount(a)); }
inline uint32_t popc(uint64_t a) { return static_cast<uint32_t>(__builtin_popcountll(a)); }
inline uint32_t clz(uint32_t a) { return a ? static_cast<uint32_t>(__builtin_clz(a)) : 32; }
inline uint32_t clz(uint64_t a) { return a ? static_cast<uint32_t>(__builtin_clzll(a)) : 64; }

template <class T> inline T brev(T a)
{
    T r = 0;
    for (unsigned i = 0; i < width<T>; i++) r |= (a >> i & 1) << (width<T> - 1 - i);
    return r;
}

/* Position of the highest bit that differs from the sign; all ones if there is none. */
template <bool SHIFT, class T> inline uint32_t bfind(T a)
{
    const Unsigned<T> m = static_cast<Unsigned<T>>(is_signed<T> && a < 0 ? ~a : a);
    if (m == 0) return ~0u;
    const uint32_t at = width<T> - 1 - clz(m);
    return SHIFT ? width<T> - 1 - at : at;
}

/* Field of c bits from bit b on; beyond the register lies its sign (or zero). */
template <class T> inline T bfe(T a, uint32_t b, uint32_t c)
{
    const uint32_t pos = b & 255, len = c & 255, msb = width<T> - 1;
    const uint32_t sign_at = pos + len - 1 < msb ? pos + len - 1 : msb;
    const bool sign = is_signed<T> && len && (u(a) >> sign_at & 1);
    uint64_t field = 0;
    for (uint32_t i = 0; i <= msb; i++) {
        const bool bit = i < len && pos + i <= msb ? u(a) >> (pos + i) & 1 : sign;
        field |= static_cast<uint64_t>(bit) << i;
    }
    return static_cast<T>(field);
}

template <class T> inline T bfi(T a, T b, uint32_t c, uint32_t d)
{
    const uint32_t pos = c & 255, len = d & 255;
    for (uint32_t i = 0; i < len && pos + i < width<T>; i++) {
        const T bit = static_cast<T>(1) << (pos + i);
        b = static_cast<T>((a >> i & 1) ? b | bit : b & ~bit);
    }
    return b;
}

template <class T> inline T shl(T a, uint32_t n) { return n >= width<T> ? 0 : static_cast<T>(u(a) << n); }
template <class T> inline T shr(T a, uint32_t n)
{
    if (n >= width<T>) n = is_signed<T> ? width<T> - 1 : 64;
    return n == 64 ? 0 : static_cast<T>(a >> n);
}

/* Funnel: 64 bits b:a. Left gives the upper half of the shifted, right the lower. */
inline uint64_t funnel(uint32_t a, uint32_t b) { return static_cast<uint64_t>(b) << 32 | a; }
inline uint32_t upto32(uint32_t n) { return n < 32 ? n : 32; }
inline uint32_t shf_l_wrap(uint32_t a, uint32_t b, uint32_t c)
{
    return static_cast<uint32_t>(funnel(a, b) << (c & 31) >> 32);
}
inline uint32_t shf_r_wrap(uint32_t a, uint32_t b, uint32_t c)
{
    return static_cast<uint32_t>(funnel(a, b) >> (c & 31));
}
inline uint32_t shf_l_clamp(uint32_t a, uint32_t b, uint32_t c)
{
    return static_cast<uint32_t>(funnel(a, b) << upto32(c) >> 32);
}
inline uint32_t shf_r_clamp(uint32_t a, uint32_t b, uint32_t c)
{
    return static_cast<uint32_t>(funnel(a, b) >> upto32(c));
}

/* Any function of three bits: bit (4a + 2b + c) of the table. */
inline uint32_t lop3(uint32_t a, uint32_t b, uint32_t c, uint32_t table)
{
    uint32_t r = 0;
    if (table & 0x01) r |= ~a & ~b & ~c;
    if (table & 0x02) r |= ~a & ~b & c;
    if (table & 0x04) r |= ~a & b & ~c;
    if (table & 0x08) r |= ~a & b & c;
    if (table & 0x10) r |= a & ~b & ~c;
    if (table & 0x20) r |= a & ~b & c;
    if (table & 0x40) r |= a & b & ~c;
    if (table & 0x80) r |= a & b & c;
    return r;
}

/* Bytes 0..7 of b:a by the nibbles of a selector; the high bit of a nibble asks for eight copies of the byte's sign. */
inline uint32_t prmt(uint32_t a, uint32_t b, uint32_t selector)
{
    uint32_t r = 0;
    for (int i = 0; i < 4; i++) {
        const uint32_t s = selector >> 4 * i & 15;
        uint32_t byte = static_cast<uint32_t>(funnel(a, b) >> 8 * (s & 7)) & 255;
        if (s & 8) byte = byte & 128 ? 255 : 0;
        r |= byte << 8 * i;
    }
    return r;
}
inline uint32_t prmt_bytes(uint32_t a, uint32_t b, int b0, int b1, int b2, int b3)
{
    return prmt(a, b, static_cast<uint32_t>((b0 & 7) | (b1 & 7) << 4 | (b2 & 7) << 8 | (b3 & 7) << 12));
}
inline int lesser(int a, int b) { return a < b ? a : b; }
inline int greater(int a, int b) { return a > b ? a : b; }
inline uint32_t prmt_f4e(uint32_t a, uint32_t b, uint32_t c)
{
    const int n = c & 3;
    return prmt_bytes(a, b, n, n + 1, n + 2, n + 3);
}
inline uint32_t prmt_b4e(uint32_t a, uint32_t b, uint32_t c)
{
    const int n = c & 3;
    return prmt_bytes(a, b, n, n - 1, n - 2, n - 3);
}
inline uint32_t prmt_rc8(uint32_t a, uint32_t b, uint32_t c)
{
    const int n = c & 3;
    return prmt_bytes(a, b, n, n, n, n);
}
inline uint32_t prmt_ecl(uint32_t a, uint32_t b, uint32_t c)
{
    const int n = c & 3;
    return prmt_bytes(a, b, n, greater(n, 1), greater(n, 2), 3);
}
inline uint32_t prmt_ecr(uint32_t a, uint32_t b, uint32_t c)
{
    const int n = c & 3;
    return prmt_bytes(a, b, 0, lesser(n, 1), lesser(n, 2), n);
}
inline uint32_t prmt_rc16(uint32_t a, uint32_t b, uint32_t c)
{
    const int n = (c & 1) * 2;
    return prmt_bytes(a, b, n, n + 1, n, n + 1);
}

} // namespace emu

#endif

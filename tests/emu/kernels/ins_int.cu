// SPDX-License-Identifier: MIT
// Integer instructions, case by case, from the descriptions in the PTX manual.
#include "check.h"

__global__ void arithmetic(Log *log)
{
    I2("add.s32", 0x80000000u, 0x7fffffff, 1);
    I2("add.u32", 0, 0xffffffffu, 1);
    I2("add.sat.s32", 0x7fffffff, 0x7fffffff, 1);
    I2("sub.sat.s32", 0x80000000u, 0x80000000u, 1);
    I2("sub.u32", 0xffffffffu, 0, 1);
    L2("add.s64", 0x8000000000000000ull, 0x7fffffffffffffffull, 1);
    L2("sub.u64", ~0ull, 0, 1);
    H2("add.u16", 0, 0xffff, 1);
    H2("mul.lo.u16", 1, 0xffff, 0xffff);
    I2("mul.lo.s32", 1, 0xffffffffu, 0xffffffffu);
    I2("mul.hi.u32", 0xfffffffeu, 0xffffffffu, 0xffffffffu);
    I2("mul.hi.s32", 0, 0xffffffffu, 0xffffffffu);
    I2("mul.hi.s32", 0x40000000u, 0x80000000u, 0x80000000u);
    L2("mul.hi.u64", 0xfffffffffffffffeull, ~0ull, ~0ull);
    L2("mul.hi.s64", 0xffffffffffffffffull, ~0ull, 1);
    L2("mul.lo.u64", 1, ~0ull, ~0ull);
    EXPECT(unsigned long long, "=l", 0xfffffffe00000001ull, "mul.wide.u32 %0, %1, %2;", R(~0u), R(~0u));
    EXPECT(unsigned long long, "=l", 0xffffffff80000000ull, "mul.wide.s32 %0, %1, %2;", R(0x80000000u), R(1));
    EXPECT(unsigned, "=r", 0xfffe0001u, "mul.wide.u16 %0, %1, %2;", H(0xffff), H(0xffff));
    EXPECT(unsigned, "=r", 1, "mul.wide.s16 %0, %1, %2;", H(0xffff), H(0xffff));
    I3("mad.lo.s32", 7, 2, 3, 1);
    I3("mad.lo.u32", 0, 0xffffffffu, 1, 1);
    I3("mad.hi.u32", 0xffffffffu, 0xffffffffu, 0xffffffffu, 1);
    I3("mad.hi.sat.s32", 0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff);
    EXPECT(unsigned long long, "=l", 0xfffffffe00000002ull, "mad.wide.u32 %0, %1, %2, %3;", R(~0u), R(~0u), L(1));
    EXPECT(unsigned long long, "=l", 5, "mad.wide.s32 %0, %1, %2, %3;", R(-2), R(3), L(11));
    I2("mul24.lo.s32", 0xfffffffeu, 0x00ffffff, 2);
    I2("mul24.lo.u32", 0x01fffffeu, 0xffffffffu, 2);
    I2("mul24.hi.u32", 0xfffffe00u, 0xffffff, 0xffffff);
    I3("mad24.lo.u32", 7, 2, 3, 1);
    I3("sad.s32", 10, 0xfffffffdu, 4, 3);
    I3("sad.u32", 0xfffffffdu - 4 + 3, 0xfffffffdu, 4, 3);
    I2("div.s32", 0xfffffffeu, 0xfffffff9u, 3);
    I2("rem.s32", 0xffffffffu, 0xfffffff9u, 3);
    I2("div.u32", 0x55555553u, 0xfffffff9u, 3);
    I2("rem.u32", 0, 0xfffffff9u, 3);
    L2("div.s64", 0xfffffffffffffffeull, 0xfffffffffffffff9ull, 3);
    L2("rem.u64", 3, 13, 5);
    I1("abs.s32", 0x80000000u, 0x80000000u);
    I1("abs.s32", 5, 0xfffffffbu);
    I1("neg.s32", 0x80000000u, 0x80000000u);
    L1("abs.s64", 5, 0xfffffffffffffffbull);
    I2("min.s32", 0xffffffffu, 0xffffffffu, 1);
    I2("min.u32", 1, 0xffffffffu, 1);
    I2("max.s32", 1, 0xffffffffu, 1);
    I2("max.u32", 0xffffffffu, 0xffffffffu, 1);
    H2("min.s16", 0x8000, 0x8000, 0x7fff);
    L2("max.s64", 1, ~0ull, 1);
    I3("dp4a.s32.s32", 101, 0x01ff01ffu, 0x02010303u, 100);
    I3("dp4a.u32.u32", 255 * 255 * 4 + 1, ~0u, ~0u, 1);
    I3("dp2a.lo.s32.s32", 0x7fff * 2 - 0x8000 * 3, 0x80007fffu, 0x00000302u, 0);
    I3("dp2a.hi.u32.u32", 0x7fff * 2 + 0x8000 * 3, 0x80007fffu, 0x03020000u, 0);
}

// 128-bit sums: the carry goes from one instruction to the next.
__global__ void extended(Log *log)
{
    EXPECT(unsigned, "=r", 1, "{ .reg .u32 t; add.cc.u32 t, %1, %2; addc.u32 %0, %3, %4; }", R(~0u), R(1), R(0), R(0));
    EXPECT(unsigned, "=r", 0, "{ .reg .u32 t; add.cc.u32 t, %1, %2; addc.u32 %0, %3, %4; }", R(~0u), R(0), R(0), R(0));
    EXPECT(unsigned, "=r", ~0u, "{ .reg .u32 t; sub.cc.u32 t, %1, %2; subc.u32 %0, %3, %4; }", R(0), R(1), R(0), R(0));
    EXPECT(unsigned, "=r", 1, "{ .reg .u32 t; add.cc.u32 t, %1, 1; addc.cc.u32 t, %1, 0; addc.u32 %0, 0, 0; }", R(~0u));
    EXPECT(unsigned, "=r", 2, "{ .reg .u32 t; mad.lo.cc.u32 t, %1, %1, %2; madc.hi.u32 %0, 0, 0, 1; }", R(~0u), R(~0u));
    EXPECT(unsigned long long, "=l", 1, "{ .reg .u64 t; add.cc.u64 t, %1, 1; addc.u64 %0, 0, 0; }", L(~0ull));
}

__global__ void bits(Log *log)
{
    I1("popc.b32", 32, ~0u);
    EXPECT(unsigned, "=r", 33, "popc.b64 %0, %1;", L(0x1ffffffffull));
    I1("clz.b32", 32, 0);
    I1("clz.b32", 0, 0x80000000u);
    EXPECT(unsigned, "=r", 64, "clz.b64 %0, %1;", L(0));
    EXPECT(unsigned, "=r", 31, "clz.b64 %0, %1;", L(0x100000000ull));
    I1("bfind.u32", 0xffffffffu, 0);
    I1("bfind.u32", 31, 0x80000000u);
    I1("bfind.s32", 0xffffffffu, 0xffffffffu);
    I1("bfind.s32", 30, 0x80000000u);
    I1("bfind.shiftamt.u32", 31, 1);
    I1("brev.b32", 0x80000000u, 1);
    L1("brev.b64", 0x8000000000000000ull, 1);
    I3("bfe.u32", 0xb, 0xabcd, 8, 4);
    I3("bfe.s32", 0xfffffffbu, 0xabcd, 8, 4);
    I3("bfe.u32", 0, 0xabcd, 8, 0);
    I3("bfe.u32", 0xa, 0xa0000000u, 28, 40);
    I3("bfe.s32", 0xffffffffu, 0x80000000u, 40, 4);
    I3("bfe.u32", 0, 0x80000000u, 40, 4);
    I3("bfe.s32", 0xfffffffau, 0xa0000000u, 28, 255);
    EXPECT(unsigned long long, "=l", 0xfull, "bfe.u64 %0, %1, 60, 8;", L(0xf000000000000000ull));
    EXPECT(unsigned, "=r", 0xffff0fffu, "bfi.b32 %0, %1, %2, 12, 4;", R(0), R(~0u));
    EXPECT(unsigned, "=r", 0x7fffffffu, "bfi.b32 %0, %1, %2, 31, 8;", R(0), R(~0u));
    EXPECT(unsigned, "=r", 0x1234u, "bfi.b32 %0, %1, %2, 40, 8;", R(0), R(0x1234));
    EXPECT(unsigned, "=r", 0x1234u, "bfi.b32 %0, %1, %2, 4, 0;", R(~0u), R(0x1234));
    I2("and.b32", 0x0c, 0x0f, 0xfc);
    I2("or.b32", 0xff, 0x0f, 0xfc);
    I2("xor.b32", 0xf3, 0x0f, 0xfc);
    I1("not.b32", 0xfffffff0u, 0xf);
    I1("cnot.b32", 1, 0);
    I1("cnot.b32", 0, 7);
    // The table of a function is the function of 0xF0, 0xCC and 0xAA.
    const unsigned a = 0x12345678, b = 0x9abcdef0, c = 0x0f1e2d3c;
    EXPECT(unsigned, "=r", a & b & c, "lop3.b32 %0, %1, %2, %3, 0x80;", R(a), R(b), R(c));
    EXPECT(unsigned, "=r", a ^ b ^ c, "lop3.b32 %0, %1, %2, %3, 0x96;", R(a), R(b), R(c));
    EXPECT(unsigned, "=r", (a & b) | c, "lop3.b32 %0, %1, %2, %3, 0xea;", R(a), R(b), R(c));
    EXPECT(unsigned, "=r", (a & b) | (~a & c), "lop3.b32 %0, %1, %2, %3, 0xca;", R(a), R(b), R(c));
    EXPECT(unsigned, "=r", a & ~b, "lop3.b32 %0, %1, %2, %3, 0x30;", R(a), R(b), R(c));
    EXPECT(unsigned, "=r", 0, "lop3.b32 %0, %1, %2, %3, 0x00;", R(a), R(b), R(c));
    EXPECT(unsigned, "=r", ~0u, "lop3.b32 %0, %1, %2, %3, 0xff;", R(a), R(b), R(c));
    EXPECT(unsigned, "=r", 1, "{ .reg .pred p, q; setp.ne.u32 q, 0, 0; lop3.or.b32 %0|p, %1, %2, %3, 0xc0, q; selp.u32 %0, 1, 0, p; }",
           R(a), R(b), R(c));
    EXPECT(unsigned, "=r", 0, "{ .reg .pred p, q; setp.ne.u32 q, 0, 0; lop3.and.b32 %0|p, %1, %2, %3, 0xc0, q; selp.u32 %0, 1, 0, p; }",
           R(a), R(b), R(c));
}

__global__ void shifts(Log *log)
{
    I2("shl.b32", 0x80000000u, 1, 31);
    I2("shl.b32", 0, 1, 32);
    I2("shl.b32", 0, 1, 0xffffffffu);
    I2("shr.u32", 1, 0x80000000u, 31);
    I2("shr.u32", 0, 0x80000000u, 32);
    I2("shr.s32", 0xffffffffu, 0x80000000u, 31);
    I2("shr.s32", 0xffffffffu, 0x80000000u, 77);
    I2("shr.s32", 0, 0x7fffffffu, 32);
    I2("shr.b32", 0x0fffffffu, ~0u, 4);
    EXPECT(unsigned long long, "=l", 0, "shl.b64 %0, %1, %2;", L(1), R(64));
    EXPECT(unsigned long long, "=l", 1ull << 63, "shl.b64 %0, %1, %2;", L(1), R(63));
    EXPECT(unsigned long long, "=l", ~0ull, "shr.s64 %0, %1, %2;", L(1ull << 63), R(64));
    EXPECT(unsigned long long, "=l", 0, "shr.u64 %0, %1, %2;", L(1ull << 63), R(64));
    EXPECT(unsigned short, "=h", 0, "shl.b16 %0, %1, %2;", H(1), R(16));
    EXPECT(unsigned short, "=h", 0xffff, "shr.s16 %0, %1, %2;", H(0x8000), R(20));
    I3("shf.l.wrap.b32", 0x9abcdef1u, 0x12345678, 0x89abcdefu, 4);
    I3("shf.l.wrap.b32", 0x9abcdef1u, 0x12345678, 0x89abcdefu, 36);
    I3("shf.l.clamp.b32", 0x12345678, 0x12345678, 0x89abcdefu, 36);
    I3("shf.r.wrap.b32", 0xf1234567u, 0x12345678, 0x89abcdefu, 4);
    I3("shf.r.clamp.b32", 0x89abcdefu, 0x12345678, 0x89abcdefu, 36);
    I3("shf.r.wrap.b32", 0x12345678, 0x12345678, 0x89abcdefu, 32);
    I3("prmt.b32", 0x33221100u, 0x33221100u, 0x77665544u, 0x3210);
    I3("prmt.b32", 0x44556677u, 0x33221100u, 0x77665544u, 0x4567);
    I3("prmt.b32", 0xff00ff00u, 0x80018001u, 0, 0xba98);
    I3("prmt.b32.f4e", 0x44332211u, 0x33221100u, 0x77665544u, 1);
    I3("prmt.b32.b4e", 0x66770011u, 0x33221100u, 0x77665544u, 1);
    I3("prmt.b32.rc8", 0x22222222u, 0x33221100u, 0x77665544u, 2);
    I3("prmt.b32.ecl", 0x33222222u, 0x33221100u, 0x77665544u, 2);
    I3("prmt.b32.ecr", 0x22221100u, 0x33221100u, 0x77665544u, 2);
    I3("prmt.b32.rc16", 0x33223322u, 0x33221100u, 0x77665544u, 1);
}

__global__ void comparison(Log *log)
{
    P2("setp.lt.s32", 1, R, -1, 1);
    P2("setp.lt.u32", 0, R, -1, 1);
    P2("setp.lo.u32", 0, R, -1, 1);
    P2("setp.hs.u32", 1, R, -1, 1);
    P2("setp.ge.s32", 1, R, 1, 1);
    P2("setp.ne.b32", 0, R, 1, 1);
    P2("setp.eq.s64", 1, L, 1ull << 40, 1ull << 40);
    P2("setp.gt.u64", 1, L, 1ull << 63, 1);
    P2("setp.gt.s64", 0, L, 1ull << 63, 1);
    P2("setp.le.s16", 1, H, 0x8000, 1);
    EXPECT(unsigned, "=r", 2, "{ .reg .pred p, q; .reg .u32 t; setp.lt.s32 p|q, %1, %2; selp.u32 t, 1, 0, p; selp.u32 %0, 2, 0, q; add.u32 %0, %0, t; }", R(3), R(2));
    // p = cmp op c, q = !cmp op c
    EXPECT(unsigned, "=r", 0, "{ .reg .pred p, q, c; .reg .u32 t; setp.eq.u32 c, 0, 1; setp.lt.and.s32 p|q, %1, %2, c; selp.u32 t, 1, 0, p; selp.u32 %0, 2, 0, q; add.u32 %0, %0, t; }", R(1), R(2));
    EXPECT(unsigned, "=r", 3, "{ .reg .pred p, q, c; .reg .u32 t; setp.eq.u32 c, 0, 0; setp.lt.or.s32 p|q, %1, %2, c; selp.u32 t, 1, 0, p; selp.u32 %0, 2, 0, q; add.u32 %0, %0, t; }", R(1), R(2));
    EXPECT(unsigned, "=r", 1, "{ .reg .pred p, c; setp.eq.u32 c, 0, 0; setp.lt.xor.s32 p, %1, %2, !c; selp.u32 %0, 1, 0, p; }", R(1), R(2));
    I2("set.lt.u32.s32", ~0u, 1, 2);
    I2("set.lt.u32.s32", 0, 2, 1);
    EXPECT(float, "=f", 1.0f, "set.gt.f32.s32 %0, %1, %2;", R(2), R(1));
    EXPECT(unsigned, "=r", 5, "slct.u32.s32 %0, %1, %2, %3;", R(5), R(6), R(0));
    EXPECT(unsigned, "=r", 6, "slct.u32.s32 %0, %1, %2, %3;", R(5), R(6), R(-1));
    EXPECT(unsigned, "=r", 6, "slct.u32.f32 %0, %1, %2, %3;", R(5), R(6), F(NANF));
    EXPECT(unsigned, "=r", 0x00020001, "{ .reg .b16 a, b; mov.b32 {a, b}, %1; mov.b32 %0, {b, a}; }", R(0x00010002));
    EXPECT(unsigned long long, "=l", 0x200000001ull, "mov.b64 %0, {%1, %2};", R(1), R(2));
    EXPECT(unsigned, "=r", 1, "{ .reg .pred p, q; setp.eq.u32 p, 1, 1; not.pred q, p; or.pred p, p, q; xor.pred p, p, q; selp.u32 %0, 1, 0, p; }", R(0));
    EXPECT(unsigned, "=r", 7, "{ .reg .pred p; setp.eq.u32 p, %1, 3; mov.u32 %0, 0; @p mov.u32 %0, 7; @!p mov.u32 %0, 9; }", R(3));
}

int main()
{
    compare("integer arithmetic", arithmetic);
    compare("extended precision", extended);
    compare("bits and logic", bits);
    compare("shifts and permutations", shifts);
    compare("comparison and selection", comparison);
    return n_failed != 0;
}

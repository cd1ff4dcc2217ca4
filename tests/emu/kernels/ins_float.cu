// SPDX-License-Identifier: MIT
// Floating point instructions and conversions, case by case, from the descriptions in the PTX manual.
#include "check.h"

#define SUB __int_as_float(0x00000001) // the smallest subnormal
#define ONE_UP __int_as_float(0x3f800001)
#define MAXF __int_as_float(0x7f7fffff)

__global__ void single(Log *log)
{
    F2("add.rn.f32", 1.0f, 1.0f, 0x1p-25f);
    F2("add.rp.f32", ONE_UP, 1.0f, 0x1p-25f);
    F2("add.rm.f32", 1.0f, 1.0f, 0x1p-25f);
    F2("add.rz.f32", __int_as_float(0x3f7fffff), 1.0f, -0x1p-26f);
    F2("add.f32", NANF, INFF, -INFF);
    F2("add.rn.ftz.f32", 0.0f, SUB, SUB);
    F2("add.rn.f32", __int_as_float(2), SUB, SUB);
    F2("add.sat.f32", 1.0f, 3.0f, 4.0f);
    F2("add.sat.f32", 0.0f, -3.0f, 1.0f);
    F2("add.sat.f32", 0.0f, NANF, 1.0f);
    F2("sub.rz.f32", 1.0f, ONE_UP, 0x1p-24f);
    F2("mul.rn.f32", INFF, MAXF, 2.0f);
    F2("mul.rz.f32", MAXF, MAXF, 2.0f);
    F2("mul.rp.f32", -MAXF, -MAXF, 2.0f);
    F2("mul.rn.ftz.f32", -0.0f, -0x1p-126f, 0.5f);
    F2("mul.rn.f32", NANF, INFF, 0.0f);
    F3("fma.rn.f32", -0x1p-46f, ONE_UP, __int_as_float(0x3f7ffffe), -1.0f); // (1+2^-23)(1-2^-23) - 1
    F3("fma.rm.f32", __int_as_float(0x3f7fffff), ONE_UP, __int_as_float(0x3f7ffffe), 0.0f);
    F3("fma.rn.sat.f32", 1.0f, 2.0f, 3.0f, 4.0f);
    F3("fma.rn.ftz.f32", 0.0f, SUB, 1.0f, 0.0f);
    F2("div.rn.f32", 0x1.555556p-2f, 1.0f, 3.0f);
    F2("div.rz.f32", 0x1.555554p-2f, 1.0f, 3.0f);
    F2("div.rn.f32", INFF, 1.0f, 0.0f);
    F2("div.approx.f32", 2.0f, 6.0f, 3.0f);
    F2("div.full.f32", 2.0f, 6.0f, 3.0f);
    F1("rcp.rn.f32", 0.25f, 4.0f);
    F1("rcp.approx.ftz.f32", -INFF, -0.0f);
    F1("sqrt.rn.f32", 0x1.6a09e6p0f, 2.0f);
    F1("sqrt.rp.f32", 0x1.6a09e8p0f, 2.0f);
    F1("sqrt.rn.f32", NANF, -1.0f);
    F1("sqrt.approx.f32", 3.0f, 9.0f);
    F1("rsqrt.approx.f32", 0.5f, 4.0f);
    F1("rsqrt.approx.f32", INFF, 0.0f);
    F1("rsqrt.approx.ftz.f32", NANF, -1.0f);
    F1("ex2.approx.f32", 8.0f, 3.0f);
    F1("ex2.approx.f32", 0.0f, -INFF);
    F1("ex2.approx.ftz.f32", 0.0f, -140.0f);
    F1("ex2.approx.f32", 0x1p-140f, -140.0f);
    F1("lg2.approx.f32", -INFF, 0.0f);
    F1("lg2.approx.f32", NANF, -1.0f);
    F1("lg2.approx.f32", 10.0f, 1024.0f);
    F1("sin.approx.f32", -0.0f, -0.0f);
    F1("cos.approx.f32", 1.0f, 0.0f);
    F1("sin.approx.f32", NANF, INFF);
    F1("tanh.approx.f32", 1.0f, 40.0f);
    F1("abs.f32", 2.0f, -2.0f);
    F1("abs.ftz.f32", 0.0f, -SUB);
    F1("neg.f32", -2.0f, 2.0f);
    F1("neg.f32", -0.0f, 0.0f);
    F2("copysign.f32", -2.0f, -1.0f, 2.0f);
    D2("add.rn.f64", 1.0, 1.0, 0x1p-54);
    D2("add.rp.f64", 0x1.0000000000001p0, 1.0, 0x1p-54);
    D2("mul.rn.f64", 6.0, 2.0, 3.0);
    D2("div.rn.f64", 0x1.5555555555555p-2, 1.0, 3.0);
    D1("sqrt.rn.f64", 0x1.6a09e667f3bcdp0, 2.0);
    D1("rcp.approx.ftz.f64", 0.25, 4.0);
    EXPECT(double, "=d", -0x1p-104, "fma.rn.f64 %0, %1, %2, %3;", D(1.0 + 0x1p-52), D(1.0 - 0x1p-52), D(-1.0));
}

__global__ void extremes(Log *log)
{
    F2("min.f32", 1.0f, NANF, 1.0f);
    F2("max.f32", 1.0f, 1.0f, NANF);
    F2("min.f32", NANF, NANF, NANF);
    F2("min.NaN.f32", NANF, NANF, 1.0f);
    F2("max.NaN.f32", NANF, 1.0f, NANF);
    F2("min.f32", -0.0f, 0.0f, -0.0f);
    F2("max.f32", 0.0f, -0.0f, 0.0f);
    F2("min.f32", -INFF, -INFF, 3.0f);
    F2("min.ftz.f32", 0.0f, SUB, 1.0f);
    F2("max.xorsign.abs.f32", -3.0f, -3.0f, 2.0f);
    F2("min.xorsign.abs.f32", 2.0f, -3.0f, -2.0f);
    D2("min.f64", 1.0, 2.0, 1.0);
    P2("setp.lt.f32", 0, F, NANF, 1.0f);
    P2("setp.ltu.f32", 1, F, NANF, 1.0f);
    P2("setp.ne.f32", 0, F, NANF, 1.0f);
    P2("setp.neu.f32", 1, F, NANF, 1.0f);
    P2("setp.equ.f32", 1, F, NANF, 1.0f);
    P2("setp.geu.f32", 0, F, 0.0f, 1.0f);
    P2("setp.num.f32", 1, F, 0.0f, 1.0f);
    P2("setp.nan.f32", 1, F, 0.0f, NANF);
    P2("setp.eq.f32", 1, F, 0.0f, -0.0f);
    P2("setp.gt.ftz.f32", 0, F, SUB, 0.0f);
    P2("setp.gt.f32", 1, F, SUB, 0.0f);
    P2("setp.leu.f64", 1, D, 1.0, 1.0);
#define TESTP(what, want, x) \
    EXPECT(unsigned, "=r", want, "{ .reg .pred p; testp." what ".f32 p, %1; selp.u32 %0, 1, 0, p; }", F(x))
    TESTP("finite", 0, INFF);
    TESTP("finite", 1, 1.0f);
    TESTP("infinite", 1, -INFF);
    TESTP("number", 1, INFF);
    TESTP("notanumber", 1, NANF);
    TESTP("normal", 1, 1.0f);
    TESTP("normal", 0, SUB);
    TESTP("subnormal", 1, SUB);
    TESTP("subnormal", 0, 0.0f);
}

#define HH(x) "h"((unsigned short)(x))
#define H1(op, want, a) EXPECT(unsigned short, "=h", want, op " %0, %1;", HH(a))
#define H3(op, want, a, b, c) EXPECT(unsigned short, "=h", want, op " %0, %1, %2, %3;", HH(a), HH(b), HH(c))

__global__ void half(Log *log)
{
    H2("add.f16", 0x4000, 0x3c00, 0x3c00);
    H2("add.rn.f16", 0x3c00, 0x3c00, 0x1000); // 1 + 2^-11: a tie, to even
    H2("add.rn.f16", 0x3c02, 0x3c01, 0x1000);
    H2("add.f16", 0x7c00, 0x7bff, 0x7bff);
    H2("add.sat.f16", 0x3c00, 0x4000, 0x4000);
    H2("sub.f16", 0x0001, 0x0401, 0x0400); // subnormal
    H2("mul.f16", 0x0001, 0x0400, 0x1400); // 2^-14 * 2^-10
    H2("mul.f16", 0x7fff, 0x7c00, 0x0000);
    H3("fma.rn.f16", 0x3c01, 0x3c00, 0x3c00, 0x1001); // a little above the tie
    H3("fma.rn.relu.f16", 0, 0xbc00, 0x3c00, 0);
    // (1 + 2^-10)^2 - (1 + 2^-9) = 2^-20: lost if the product were rounded
    H3("fma.rn.f16", 0x0010, 0x3c01, 0x3c01, 0xbc02);
    H3("fma.rn.bf16", 0x4040, 0x3f80, 0x4000, 0x3f80);
    H3("fma.rn.bf16", 0x3f80, 0x3f80, 0x3f80, 0x3b80); // 1 + 2^-8: a tie, to even
    H3("fma.rn.bf16", 0x3880, 0x3f81, 0x3f81, 0xbf82); // (1 + 2^-7)^2 - (1 + 2^-6) = 2^-14
    EXPECT(unsigned, "=r", 0x40004400, "add.f16x2 %0, %1, %2;", R(0x3c004000), R(0x3c004000));
    EXPECT(unsigned, "=r", 0x3f804080, "fma.rn.bf16x2 %0, %1, %2, %3;", R(0x3f804000), R(0x3f804000), R(0));
    H1("neg.bf16", 0xbf80, 0x3f80);
    H1("abs.f16", 0x3c00, 0xbc00);
    EXPECT(unsigned, "=r", 0x3c00bc00, "neg.f16x2 %0, %1;", R(0xbc003c00));
    H2("min.f16", 0x3c00, 0x7e00, 0x3c00);
    H2("min.NaN.f16", 0x7fff, 0x7e00, 0x3c00);
    H2("max.bf16", 0x0000, 0x8000, 0x0000);
    EXPECT(unsigned, "=r", 0x40003c00, "max.f16x2 %0, %1, %2;", R(0x40003800), R(0x34003c00));
    H1("ex2.approx.f16", 0x4800, 0x4200);
    H1("tanh.approx.bf16", 0x3f80, 0x4220);
    EXPECT(unsigned, "=r", 1, "{ .reg .pred p; setp.lt.f16 p, %1, %2; selp.u32 %0, 1, 0, p; }", HH(0xbc00), HH(0x3c00));
    EXPECT(unsigned, "=r", 2, "{ .reg .pred p, q; .reg .u32 t; setp.lt.f16x2 p|q, %1, %2; selp.u32 t, 1, 0, p; selp.u32 %0, 2, 0, q; add.u32 %0, %0, t; }", R(0x3c004000), R(0x40003c00));
}

// Names of conversions: to from.
#define CVT(T, C, want, what, in) EXPECT(T, C, want, "cvt." what " %0, %1;", in)
__global__ void to_integer(Log *log)
{
    CVT(int, "=r", 2, "rni.s32.f32", F(2.5f));
    CVT(int, "=r", 4, "rni.s32.f32", F(3.5f));
    CVT(int, "=r", 2, "rzi.s32.f32", F(2.9f));
    CVT(int, "=r", -2, "rzi.s32.f32", F(-2.9f));
    CVT(int, "=r", -3, "rmi.s32.f32", F(-2.1f));
    CVT(int, "=r", 3, "rpi.s32.f32", F(2.1f));
    CVT(int, "=r", 0x7fffffff, "rzi.s32.f32", F(3e9f));
    CVT(int, "=r", 0x80000000, "rzi.s32.f32", F(-3e9f));
    CVT(int, "=r", 0, "rzi.s32.f32", F(NANF));
    CVT(unsigned, "=r", 0, "rzi.u32.f32", F(-1.0f));
    CVT(unsigned, "=r", ~0u, "rzi.u32.f32", F(INFF));
    CVT(unsigned, "=r", 255, "rni.u8.f32", F(300.0f));
    CVT(unsigned, "=r", -128, "rni.s8.f32", F(-300.0f));
    CVT(unsigned long long, "=l", 0x7fffffffffffffffull, "rzi.s64.f32", F(1e30f));
    CVT(unsigned long long, "=l", ~0ull, "rzi.u64.f64", D(1e30));
    CVT(unsigned long long, "=l", 1ull << 63, "rzi.u64.f64", D(0x1p63));
    CVT(unsigned, "=r", 0, "rpi.ftz.u32.f32", F(SUB));
    CVT(unsigned, "=r", 1, "rpi.u32.f32", F(SUB));
    CVT(int, "=r", -3, "rni.s32.f16", HH(0xc200));
    CVT(unsigned, "=r", 0xffffff80u, "s32.s8", R(0x80));
    CVT(unsigned, "=r", 0x80u, "u32.u8", R(0xf80));
    CVT(unsigned, "=r", 127, "sat.s8.s32", R(1000));
    CVT(unsigned, "=r", 0, "sat.u8.s32", R(-5));
    CVT(unsigned, "=r", 0x7fffffffu, "sat.s32.u32", R(~0u));
    CVT(unsigned long long, "=l", ~0ull, "s64.s32", R(-1));
    CVT(unsigned long long, "=l", 0xffffffffull, "u64.u32", R(-1));
    CVT(unsigned, "=r", 5, "u32.u64", L((1ull << 40) + 5));
    EXPECT(unsigned, "=r", 0x7fff8000u, "cvt.pack.sat.s16.s32 %0, %1, %2;", R(100000), R(-100000));
    EXPECT(unsigned, "=r", 0x3412ff00u, "cvt.pack.sat.u8.s32.b32 %0, %1, %2, %3;", R(300), R(-7), R(0x3412));
    F1("cvt.rni.f32.f32", 2.0f, 2.5f);
    F1("cvt.rmi.f32.f32", -3.0f, -2.1f);
    F1("cvt.rpi.f32.f32", -0.0f, -0.5f);
    F1("cvt.rzi.f32.f32", -2.0f, -2.9f);
    F1("cvt.sat.f32.f32", 1.0f, 7.0f);
    F1("cvt.sat.f32.f32", 0.0f, NANF);
}

__global__ void to_float(Log *log)
{
    CVT(float, "=f", 16777216.0f, "rn.f32.s32", R(16777217));
    CVT(float, "=f", 16777218.0f, "rp.f32.s32", R(16777217));
    CVT(float, "=f", -16777216.0f, "rz.f32.s32", R(-16777217));
    CVT(float, "=f", 4294967296.0f, "rn.f32.u32", R(~0u));
    CVT(float, "=f", 0x1p64f, "rn.f32.u64", L(~0ull));
    CVT(float, "=f", 0x1.fffffep63f, "rz.f32.u64", L(~0ull));
    CVT(double, "=d", 0x1p53, "rn.f64.s64", L((1ull << 53) + 1));
    CVT(float, "=f", 1.0f, "rn.f32.f64", D(1.0 + 0x1p-25));
    CVT(float, "=f", ONE_UP, "rp.f32.f64", D(1.0 + 0x1p-25));
    CVT(float, "=f", INFF, "rn.f32.f64", D(1e300));
    CVT(float, "=f", MAXF, "rz.f32.f64", D(1e300));
    CVT(double, "=d", 1.5, "f64.f32", F(1.5f));
    CVT(float, "=f", 1.0f, "f32.f16", HH(0x3c00));
    CVT(float, "=f", 0x1p-24f, "f32.f16", HH(0x0001));
    CVT(float, "=f", -INFF, "f32.f16", HH(0xfc00));
    CVT(unsigned short, "=h", 0x3c00, "rn.f16.f32", F(1.0f + 0x1p-11f));
    CVT(unsigned short, "=h", 0x3c02, "rn.f16.f32", F(1.0f + 3 * 0x1p-11f));
    CVT(unsigned short, "=h", 0x3c01, "rp.f16.f32", F(1.0f + 0x1p-11f));
    CVT(unsigned short, "=h", 0x7c00, "rn.f16.f32", F(65520.0f));
    CVT(unsigned short, "=h", 0x7bff, "rn.f16.f32", F(65519.0f));
    CVT(unsigned short, "=h", 0x7bff, "rz.f16.f32", F(1e9f));
    CVT(unsigned short, "=h", 0x0001, "rn.f16.f32", F(0x1.8p-25f));
    CVT(unsigned short, "=h", 0x0000, "rn.f16.f32", F(0x1p-25f));
    CVT(unsigned short, "=h", 0x8000, "rn.f16.f32", F(-0x1p-30f));
    CVT(unsigned short, "=h", 0x7fff, "rn.f16.f32", F(NANF));
    CVT(unsigned short, "=h", 0x6400, "rn.f16.s32", R(1024));
    CVT(unsigned short, "=h", 0x3f80, "rn.bf16.f32", F(1.0f + 0x1p-8f));
    CVT(unsigned short, "=h", 0x3f82, "rn.bf16.f32", F(1.0f + 3 * 0x1p-8f));
    CVT(unsigned short, "=h", 0x3f81, "rz.bf16.f32", F(1.0f + 3 * 0x1p-8f));
    CVT(unsigned short, "=h", 0x7f80, "rn.bf16.f32", F(MAXF));
    CVT(unsigned short, "=h", 0x7fff, "rn.bf16.f32", F(NANF));
    CVT(unsigned short, "=h", 0x0000, "rn.relu.bf16.f32", F(-1.0f));
    CVT(unsigned short, "=h", 0x0001, "rn.bf16.f32", F(0x1p-133f));
    EXPECT(unsigned, "=r", 0x40003f80, "cvt.rn.bf16x2.f32 %0, %1, %2;", F(2.0f), F(1.0f));
    EXPECT(unsigned, "=r", 0x40003f81, "cvt.rz.bf16x2.f32 %0, %1, %2;", F(2.0f), F(1.0f + 3 * 0x1p-8f));
    EXPECT(unsigned, "=r", 0x40003c00, "cvt.rn.f16x2.f32 %0, %1, %2;", F(2.0f), F(1.0f));
    EXPECT(unsigned, "=r", 0x00003c00, "cvt.rn.relu.f16x2.f32 %0, %1, %2;", F(-2.0f), F(1.0f));
    CVT(unsigned, "=r", 0x3f800000, "rna.tf32.f32", F(1.0f));
    CVT(unsigned, "=r", 0x3f802000, "rna.tf32.f32", F(1.0f + 0x1p-11f)); // a tie, away from zero
    CVT(unsigned, "=r", 0x3f800000, "rna.tf32.f32", F(1.0f + 0x1p-12f));
    CVT(unsigned, "=r", 0xbf802000, "rna.tf32.f32", F(-1.0f - 0x1p-11f));
}

int main()
{
    compare("single and double precision", single);
    compare("extremes, comparison, classes", extremes);
    compare("f16 and bf16", half);
    compare("conversion to integers", to_integer);
    compare("conversion to floating point", to_float);
    return n_failed != 0;
}

/* SPDX-License-Identifier: MIT
 * Which instruction sets CPU and operating system have: CPUID, XGETBV and, for the tiles of AMX, the permission of Linux.
 * CONFIG=softisa (DD_SOFT_ISA) emulates the two of bf16 on any AVX-512 CPU. */
#define _GNU_SOURCE /* syscall */
#include "kernels/cpu/cpu.h"

#include <string.h>

#ifdef DD_SOFT_ISA
#define SOFT 1
#else
#define SOFT 0
#endif

bool dd_cpu_emulated(dd_cpu_isa isa) { return SOFT && dd_cpu_has_bf16(isa); }

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* Bits of XCR0: the registers that the system saves. */
#define SAVES_AVX 0x6u
#define SAVES_AVX512 0xe6u
#define SAVES_TILES 0x60000u

static bool system_saves(uint32_t bits)
{
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 27)) return false; /* OSXSAVE */
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (a & bits) == bits;
}

/* Tile data is saved for a process from its first request on. */
static bool tiles_permitted(void)
{
#if defined(__linux__) && defined(SYS_arch_prctl)
    enum { REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return false;
#endif
}

static bool system_has(dd_cpu_isa isa)
{
    switch (isa) {
    case DD_ISA_PORTABLE: return true;
    case DD_ISA_AVX2: return system_saves(SAVES_AVX);
    case DD_ISA_AVX512:
    case DD_ISA_AVX512BF16: return system_saves(SAVES_AVX512);
    case DD_ISA_AMX: return system_saves(SAVES_AVX512) && (SOFT || (system_saves(SAVES_TILES) && tiles_permitted()));
    case DD_ISA_COUNT: break;
    }
    return false;
}

static bool cpuid_has(dd_cpu_isa isa)
{
    uint32_t a, b, c, d;
    __builtin_cpu_init();
    switch (isa) {
    case DD_ISA_PORTABLE: return true;
    case DD_ISA_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case DD_ISA_AVX512:
        return cpuid_has(DD_ISA_AVX2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512cd");
    case DD_ISA_AVX512BF16:
        return cpuid_has(DD_ISA_AVX512) && (SOFT || (__get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 5)));
    case DD_ISA_AMX: /* amx_bf16, amx_tile; conversions are those of avx512bf16 */
        return cpuid_has(DD_ISA_AVX512BF16) &&
               (SOFT || (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & 1u << 22) && (d & 1u << 24)));
    case DD_ISA_COUNT: break;
    }
    return false;
}

static bool made_by_amd(void)
{
    uint32_t a, b, c, d;
    char name[12];
    if (!__get_cpuid(0, &a, &b, &c, &d)) return false;
    memcpy(name, &b, 4);
    memcpy(name + 4, &d, 4);
    memcpy(name + 8, &c, 4);
    return memcmp(name, "AuthenticAMD", sizeof name) == 0;
}
#else
static bool system_has(dd_cpu_isa isa) { return isa == DD_ISA_PORTABLE; }
static bool cpuid_has(dd_cpu_isa isa) { return isa == DD_ISA_PORTABLE; }
static bool made_by_amd(void) { return false; }
#endif

bool dd_cpu_may_have(dd_cpu_isa isa) { return dd_cpu_ops(isa) != NULL && system_has(isa); }

bool dd_cpu_has(dd_cpu_isa isa) { return dd_cpu_ops(isa) != NULL && cpuid_has(isa) && system_has(isa); }

dd_cpu_isa dd_cpu_detect(void)
{
    for (int i = DD_ISA_COUNT - 1; i > DD_ISA_PORTABLE; i--)
        if (dd_cpu_has((dd_cpu_isa)i)) return (dd_cpu_isa)i;
    return DD_ISA_PORTABLE;
}

/* Tiles multiply bf16 many times faster than vectors multiply float32. The vector instruction of AVX512-BF16 has twice
 * the multiply-adds of float32 on AMD Zen 4, but half of them on Intel: on a Xeon with AMX, whose two units do 5.5 G
 * float32 instructions of 16 multiply-adds in a second, one unit does 1.40 G vdpbf16ps of 32. */
bool dd_cpu_prefers_bf16(dd_cpu_isa isa)
{
    if (dd_cpu_emulated(isa)) return false;
    return isa == DD_ISA_AMX || (isa == DD_ISA_AVX512BF16 && made_by_amd());
}

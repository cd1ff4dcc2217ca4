// SPDX-License-Identifier: MIT
// Reads the environment once. A value that is not understood ends the program: a misspelt test is no test.
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace emu
{

Fatal default_fatal = FATAL_EXIT;

namespace
{

// Shared memory: CUDA C++ Programming Guide, table of technical specifications per compute capability. The tensor
// cores' alignment width is what published measurements found; it was not compared with hardware.
const Device devices[] = {
    {80, "emulated sm_80", 163 << 10, 164 << 10, 2048, 32, 4, 8, 1},
    {86, "emulated sm_86", 99 << 10, 100 << 10, 1536, 16, 4, 8, 1},
    {89, "emulated sm_89", 99 << 10, 100 << 10, 1536, 24, 4, 8, 1},
    {90, "emulated sm_90", 227 << 10, 228 << 10, 2048, 32, 4, 16, 2},
    {100, "emulated sm_100", 227 << 10, 228 << 10, 2048, 32, 4, 16, 2},
    {120, "emulated sm_120", 99 << 10, 100 << 10, 1536, 24, 4, 8, 1},
};

[[noreturn]] void bad(const char *name, const char *value, const char *allowed)
{
    fprintf(stderr, "emu: %s=%s is none of %s\n", name, value, allowed);
    _exit(EXIT_STATUS);
}

// The position of a variable's value in a list of words.
int choice(const char *name, const char *const *words, int n, const char *allowed)
{
    const char *value = getenv(name);
    if (!value || !*value) return 0;
    for (int i = 0; i < n; i++)
        if (strcmp(value, words[i]) == 0) return i;
    bad(name, value, allowed);
}

uint64_t number(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);
    if (!value || !*value) return otherwise;
    char *end;
    const uint64_t n = strtoull(value, &end, 10);
    if (*end || *value == '-') bad(name, value, "the numbers");
    return n;
}

Device device()
{
    const uint64_t arch = number("EMU_ARCH", 80);
    for (const Device &d : devices)
        if (static_cast<uint64_t>(d.arch) == arch) return d;
    bad("EMU_ARCH", getenv("EMU_ARCH"), "80, 86, 89, 90, 100, 120");
}

Config read()
{
    static const char *const orders[] = {"forward", "reverse", "random"};
    static const char *const streams[] = {"late", "issue", "random"};
    static const char *const fatals[] = {"exit", "abort", "error"};
    static const char *const mmas[] = {"exact", "truncate"};
    Config c;
    c.order = static_cast<Order>(choice("EMU_ORDER", orders, 3, "forward, reverse, random"));
    c.streams = static_cast<StreamOrder>(choice("EMU_STREAMS", streams, 3, "late, issue, random"));
    const char *fatal = getenv("EMU_FATAL");
    c.fatal = fatal && *fatal ? static_cast<Fatal>(choice("EMU_FATAL", fatals, 3, "exit, abort, error"))
                              : default_fatal;
    c.truncate = choice("EMU_MMA", mmas, 2, "exact, truncate") == 1;
    c.seed = number("EMU_SEED", 1);
    c.strict = number("EMU_STRICT", 1) != 0;
    c.leaks = number("EMU_LEAKS", 1) != 0;
    c.stats = number("EMU_STATS", 0) != 0;
    c.stack_bytes = number("EMU_STACK", 256) << 10;
    c.memory_bytes = number("EMU_MEMORY", 8192) << 20;
    c.device = device();
    c.inject = getenv("EMU_FAIL");
    c.kernels = getenv("EMU_KERNELS");
    if (c.kernels && !*c.kernels) c.kernels = nullptr;
    if (c.stack_bytes < 32 << 10) bad("EMU_STACK", getenv("EMU_STACK"), "the numbers from 32 (KiB)");
    if (c.memory_bytes < 1 << 20) bad("EMU_MEMORY", getenv("EMU_MEMORY"), "the numbers from 1 (MiB)");
    return c;
}

} // namespace

const Config &config()
{
    static const Config c = read();
    return c;
}

uint32_t random_below(uint32_t n)
{
    static uint64_t state = 0x9e3779b97f4a7c15ull * (2 * config().seed + 1);
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return static_cast<uint32_t>((state >> 32) * n >> 32);
}

} // namespace emu

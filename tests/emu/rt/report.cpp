// SPDX-License-Identifier: MIT
// fail(): says where and why. Device printf and assert.
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <string>

#include "config.h"
#include "memory.h"
#include "sched.h"

namespace emu
{

emu_stats counts;

namespace
{
std::string failure;
Failure failure_kind = FAILED_OTHER;
} // namespace

const char *last_failure() { return failure.c_str(); }
Failure last_failure_kind() { return failure_kind; }
void note_failure_kind(Failure kind) { failure_kind = kind; }
void stats_blocks(uint64_t n) { counts.blocks += n, counts.kernels++; }

void fail(const Site *site, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fflush(stdout);
    failure = "emu: ERROR: ";
    if (site) failure += std::string(site->file) + ":" + std::to_string(site->line) + ": " + site->op + ": ";
    failure += text;
    if (self) {
        char where[512];
        snprintf(where, sizeof where, "\nemu:   in %s, block (%u,%u,%u), thread (%u,%u,%u)", grid.kernel->name,
                 grid.ctaid.x, grid.ctaid.y, grid.ctaid.z, self->tid.x, self->tid.y, self->tid.z);
        failure += where;
    }
    fprintf(stderr, "%s\n", failure.c_str());
    fflush(stderr);
    if (self && config().fatal == FATAL_ERROR) leave_grid();
    if (config().fatal == FATAL_ABORT) abort();
    _exit(EXIT_STATUS);
}

void trap(const Site *site) { fail(site, "trap"); }

uint64_t clock_ticks()
{
    static uint64_t t;
    return t += 16; // deterministic, and always later than before
}

// ---- device printf and assert --------------------------------------------------------------------------------------

namespace
{

const char *device_string(uint64_t addr)
{
    static const Site site = {"?", 0, "printf"};
    for (uint64_t a = addr;; a++)
        if (*generic_ptr<1, false>(a, &site) == 0)
            return reinterpret_cast<const char *>(generic_ptr<1, false>(addr, &site));
}

template <class T> T take(const uint8_t *args, size_t &at)
{
    T value;
    at = (at + sizeof(T) - 1) / sizeof(T) * sizeof(T);
    memcpy(&value, args + at, sizeof value);
    at += sizeof value;
    return value;
}

// One conversion with its argument: arguments lie at multiples of their size.
void print_one(const std::string &spec, const uint8_t *args, size_t &at)
{
    const char c = spec.back();
    if (strchr("fFeEgGaA", c)) {
        printf(spec.c_str(), take<double>(args, at));
    } else if (c == 's') {
        printf(spec.c_str(), device_string(take<uint64_t>(args, at)));
    } else if (c == 'p') {
        printf(spec.c_str(), reinterpret_cast<void *>(take<uint64_t>(args, at)));
    } else if (spec.find_first_of("ljzt") != std::string::npos) {
        printf(spec.c_str(), take<long long>(args, at));
    } else {
        printf(spec.c_str(), take<int>(args, at));
    }
}

} // namespace

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
void builtin_vprintf(uint8_t *ret, const uint8_t *format, const uint8_t *args)
{
    const char *f = device_string(load<uint64_t>(format, 0));
    const uint8_t *values = reinterpret_cast<const uint8_t *>(load<uint64_t>(args, 0));
    size_t at = 0;
    int n = 0;
    for (; *f; f++) {
        if (*f != '%' || f[1] == '%') {
            putchar(*f);
            f += *f == '%';
            continue;
        }
        const size_t length = strcspn(f, "diouxXcsfFeEgGaAp");
        if (!f[length]) break;
        print_one(std::string(f, length + 1), values, at);
        f += length;
        n++;
    }
    store<int>(ret, 0, n);
}

void builtin_assertfail(const uint8_t *message, const uint8_t *file, const uint8_t *line, const uint8_t *function,
                        const uint8_t *, const Site *site)
{
    note_failure_kind(FAILED_ASSERT);
    fail(site, "assertion failed: %s (%s:%u, %s)", device_string(load<uint64_t>(message, 0)),
         device_string(load<uint64_t>(file, 0)), load<uint32_t>(line, 0), device_string(load<uint64_t>(function, 0)));
}

} // namespace emu

extern "C" void emu_stats_get(emu_stats *out) { *out = emu::counts; }

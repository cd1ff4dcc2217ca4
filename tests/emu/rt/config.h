/* SPDX-License-Identifier: MIT
 * What the environment asks for, and what the emulated device can do. README.md lists the variables. */
#ifndef EMU_CONFIG_H
#define EMU_CONFIG_H

#include <stddef.h>
#include <stdint.h>

namespace emu
{

enum Order { FORWARD, REVERSE, RANDOM };
enum StreamOrder { LATE, ISSUE, SHUFFLED };
enum Fatal { FATAL_EXIT, FATAL_ABORT, FATAL_ERROR };

struct Device {
    int arch; /* 80: compute capability 8.0 */
    const char *name;
    uint32_t shared_per_block, shared_per_sm; /* with the opt-in */
    uint32_t threads_per_sm, blocks_per_sm, n_sm;
    int mma_terms;      /* products that one step of the tensor core adds: of 16-bit types; tf32 has half of it */
    int mma_extra_bits; /* below the 24 of float, kept while it adds */
};

struct Config {
    Order order;
    StreamOrder streams;
    Fatal fatal;
    uint64_t seed;
    bool strict, truncate, leaks, stats;
    size_t stack_bytes, memory_bytes;
    Device device;
    const char *inject;  /* EMU_FAIL */
    const char *kernels; /* EMU_KERNELS */
};

/* Where EMU_FATAL is not set; may be changed before the first call. */
extern Fatal default_fatal;

const Config &config();

/* xorshift, one sequence for the whole program */
uint32_t random_below(uint32_t n);

enum { EXIT_STATUS = 86 };

} // namespace emu

#endif

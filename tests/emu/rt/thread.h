/* SPDX-License-Identifier: MIT
 * The thread that runs, the grid it belongs to, and what translated modules tell the runtime. */
#ifndef EMU_THREAD_H
#define EMU_THREAD_H

#include <stddef.h>
#include <stdint.h>

namespace emu
{

using u128 = unsigned __int128;

struct Dim {
    uint32_t x, y, z;
};

/* A place in the source and the instruction there. */
struct Site {
    const char *file;
    int line;
    const char *op;
};

/* ---- what a module contains -------------------------------------------------------------------------------------- */

struct Extent {
    uint32_t at, size;
};

struct Var;
struct Reloc {
    uint32_t at;
    const Var *var;
    int64_t offset;
};

/* __device__ or __constant__ memory */
struct Var {
    const char *name;
    uint64_t size;
    uint32_t align;
    const uint8_t *init;
    uint64_t n_init;
    const Reloc *relocs;
    uint32_t n_relocs;
    bool constant;
    uint64_t addr; /* device address, set when the program starts */
    Var *next;
};

struct Kernel {
    const char *name;
    void (*fn)(const uint8_t *params);
    const Extent *params;
    uint32_t n_params, param_bytes;
    const Extent *shared; /* static arrays, in the guarded layout of the emulator */
    uint32_t n_shared;
    uint32_t static_bytes; /* what hardware would need for them */
    uint32_t dynamic_at;
    uint32_t max_threads; /* __launch_bounds__, 0: none */
    uint32_t local_bytes;
    Kernel *next;
};

struct Register {
    explicit Register(Var *v);
    explicit Register(Kernel *k);
};

/* ---- what runs --------------------------------------------------------------------------------------------------- */

struct Copy { /* a cp.async that has not landed */
    uint8_t *to;
    uint64_t from;
    uint32_t bytes, live; /* live: of the source; the rest is filled with zeros */
    uint32_t group;
    const Site *site;
};

enum { MAX_COPIES = 256 };

struct Thread {
    Dim tid;
    uint32_t lane, warp, index;
    uint32_t n_copies, group; /* group: the one that collects */
    uint32_t fences;          /* between proxies */
    uint8_t *stack;
    size_t stack_bytes;
    Copy copies[MAX_COPIES];
};

/* Of a granule of shared memory. */
struct Writer {
    uint32_t thread, fences; /* the index and 1, 0: nobody; how many fences it had passed */
};

struct Grid {
    Dim ntid, ctaid, nctaid;
    uint32_t n_threads;
    uint32_t dynamic_at, dynamic_bytes, shared_bytes;
    uint8_t *shared;            /* the window of the block that runs */
    const uint16_t *shared_map; /* see memory.h */
    uint32_t shared_end;
    Writer *shared_writers;
    const uint8_t *params;
    const Kernel *kernel;
};

extern Thread *self;
extern Grid grid;

/* Prints where and why, and ends the program (or the kernel, with EMU_FATAL=error). */
[[noreturn]] void fail(const Site *site, const char *format, ...) __attribute__((format(printf, 2, 3)));

[[noreturn]] void thread_exit();
[[noreturn]] void trap(const Site *site);
void yield();
uint64_t clock_ticks();
void builtin_vprintf(uint8_t *ret, const uint8_t *format, const uint8_t *args);
[[noreturn]] void builtin_assertfail(const uint8_t *message, const uint8_t *file, const uint8_t *line,
                                     const uint8_t *function, const uint8_t *char_size, const Site *site);

} // namespace emu

#endif

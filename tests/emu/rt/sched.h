/* SPDX-License-Identifier: MIT
 * Runs grids: block after block, each of its threads a fiber that runs until it has to wait for others. */
#ifndef EMU_SCHED_H
#define EMU_SCHED_H

#include "fiber.h"

namespace emu
{

struct Shape {
    Dim grid, block;
    uint32_t dynamic_bytes;
};

/* False: the kernel failed and EMU_FATAL=error; last_failure() says why. */
bool run_grid(const Kernel *kernel, const Shape &shape, const uint8_t *params);
const char *last_failure();
enum Failure { FAILED_ACCESS, FAILED_ASSERT, FAILED_OTHER };
Failure last_failure_kind();
void note_failure_kind(Failure kind); /* just before fail() */

/* ---- for barriers and collectives -------------------------------------------------------------------------------- */

Fiber *current();
Fiber *thread_at(uint32_t index);
uint32_t live_threads();
uint32_t exited_lanes(uint32_t warp);
void make_ready(Fiber *f);
void wait_as(State state, const Site *site); /* until made ready */
void reschedule();                           /* lets others run, stays ready */
bool privileged();                           /* may the last to arrive go on at once? */

/* Told about ends of threads and starts of blocks. */
void barriers_reset();
void barriers_exit(Fiber *f);
void warps_reset(uint32_t n_threads);
void warps_exit(Fiber *f);
void products_reset(uint32_t n_threads);
void products_exit(Fiber *f);

/* One line on what is waited for at a barrier or in a warp. */
void barriers_describe(uint32_t id, char *text, size_t bytes);

} // namespace emu

#endif

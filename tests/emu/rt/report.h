/* SPDX-License-Identifier: MIT
 * Errors and counts. */
#ifndef EMU_REPORT_H
#define EMU_REPORT_H

#include "emu_stats.h"
#include "thread.h"

namespace emu
{

extern emu_stats counts;
void stats_blocks(uint64_t n);

/* For EMU_KERNELS: a grid of this kernel was run; at the end of the program. */
void note_executed(const char *name);
void write_executed();

/* Ends the grid that runs (EMU_FATAL=error): back to run_grid. */
[[noreturn]] void leave_grid();

} // namespace emu

#endif

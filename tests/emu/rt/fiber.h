/* SPDX-License-Identifier: MIT
 * Fibers: one stack per CUDA thread of a block, kept from block to block, and the switch between them, announced to the
 * sanitizer of the build (EMU_ASAN, EMU_TSAN). Nothing is scheduled here. */
#ifndef EMU_FIBER_H
#define EMU_FIBER_H

#include "thread.h"

#if !defined(__x86_64__)
#define EMU_UCONTEXT 1
#endif
#if defined(EMU_UCONTEXT)
#include <ucontext.h>
#endif

namespace emu
{

enum State { READY, AT_BARRIER, AT_WARP, EXITED };

struct Fiber : Thread {
    State state;
    const Site *site; /* where it waits */
    uint32_t barrier, mask;
#if defined(EMU_UCONTEXT)
    ucontext_t context;
#endif
    void *sp;
    void *tsan, *asan_fake;
    bool fresh; /* has no frame to return to: starts at the entry */
};

/* The first n fibers, each to begin with entry(), which never returns. */
Fiber *fibers(uint32_t n, void (*entry)());
Fiber *main_fiber(); /* the context that runs the grid */

/* Called on `from`, returns when something switches back. */
void fiber_switch(Fiber *from, Fiber *to);
/* First thing on a new stack. */
void fiber_started();
/* Forgets the frames of a fiber that is switched away from for good. */
void fiber_abandon(Fiber *f);

/* What ThreadSanitizer should believe: everything before a release happens before what follows an acquire. */
void order_release(void *token);
void order_acquire(void *token);

} // namespace emu

#endif

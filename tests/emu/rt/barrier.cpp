// SPDX-License-Identifier: MIT
// The sixteen barriers of a block. Threads of one warp must come to an aligned barrier at the same instruction; with
// EMU_STRICT nobody may have exited, and all of a block must come to the same __syncthreads.
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "report.h"
#include "sched.h"
#include "warp.h"

namespace emu
{
namespace
{

struct Barrier {
    uint32_t arrived, expected; // threads; expected 0: the whole block
    uint32_t generation, popc, n_voters;
    const Site *site;          // where the first one came
    const Site *warp_site[32]; // the same of each warp
    uint32_t result[2];        // votes of the last generations, by parity
    bool all[2];
    char token[2]; // for the sanitizer, by parity: those late to leave meet those early to come
};

Barrier barriers[16];

// Lanes that a last, partial warp lacks are counted by its first lane: barriers count whole warps.
uint32_t weight(const Fiber *f)
{
    const uint32_t in_warp = grid.n_threads - f->warp * 32;
    return f->lane == 0 && in_warp < 32 ? 33 - in_warp : 1;
}

uint32_t whole_block()
{
    uint32_t n = (grid.n_threads + 31) / 32 * 32;
    if (live_threads() == grid.n_threads) return n; // asked for at every arrival
    for (uint32_t i = 0; i < grid.n_threads; i++)
        if (thread_at(i)->state == EXITED) n -= weight(thread_at(i));
    return n;
}

bool complete(const Barrier &b) { return b.arrived && b.arrived == (b.expected ? b.expected : whole_block()); }

void release(uint32_t id)
{
    Barrier &b = barriers[id];
    const uint32_t parity = b.generation & 1;
    b.result[parity] = b.popc;
    b.all[parity] = b.popc == b.n_voters;
    b.arrived = b.expected = b.popc = b.n_voters = 0;
    b.generation++;
    memset(b.warp_site, 0, sizeof b.warp_site);
    for (uint32_t i = 0; i < grid.n_threads; i++) {
        Fiber *f = thread_at(i);
        if (f->state == AT_BARRIER && f->barrier == id) make_ready(f);
    }
    counts.barriers++;
}

void check_arrival(uint32_t id, uint32_t count, bool aligned, const Site *site)
{
    const Fiber *f = current();
    if (id > 15) fail(site, "there is no barrier %u", id);
    Barrier &b = barriers[id];
    if (count % 32 != 0 || count > (grid.n_threads + 31) / 32 * 32)
        fail(site, "barrier %u for %u threads: not a multiple of 32, or more than the block has", id, count);
    if (b.arrived == 0) {
        b.expected = count;
        b.site = site;
    } else if (b.expected != count) {
        fail(site, "barrier %u is waited for with %u threads here, with %u at %s:%d", id, count, b.expected,
             b.site->file, b.site->line);
    } else if (config().strict && count == 0 && b.site != site) {
        fail(site, "divergent barrier: thread %u is here, others of the block wait at %s:%d", f->index, b.site->file,
             b.site->line);
    }
    const Site *&warp_site = b.warp_site[f->warp];
    if (aligned && warp_site && warp_site != site)
        fail(site, "divergent barrier: lane %u is here, others of warp %u wait at %s:%d", f->lane, f->warp,
             warp_site->file, warp_site->line);
    warp_site = site;
    if (config().strict && count == 0 && live_threads() != grid.n_threads)
        fail(site, "%u threads of the block have exited and will never come to this barrier (EMU_STRICT=0 lets them)",
             grid.n_threads - live_threads());
}

// Returns the parity of the generation that this thread took part in.
uint32_t arrive(uint32_t id, uint32_t count, bool aligned, bool waits, bool vote, const Site *site)
{
    check_arrival(id, count, aligned, site);
    Barrier &b = barriers[id];
    Fiber *f = current();
    const uint32_t parity = b.generation & 1;
    b.arrived += weight(f);
    b.popc += vote, b.n_voters++;
    order_release(&b.token[parity]);
    if (b.expected && b.arrived > b.expected) fail(site, "more than %u threads at barrier %u", b.expected, id);
    const bool last = complete(b);
    if (last) release(id);
    if (waits) {
        f->barrier = id;
        if (last) reschedule(); // nobody is privileged
        else wait_as(AT_BARRIER, site);
        order_acquire(&b.token[parity]);
    }
    return parity;
}

} // namespace

void barriers_reset() { memset(barriers, 0, sizeof barriers); }

void barriers_exit(Fiber *f)
{
    for (uint32_t id = 0; id < 16; id++) {
        Barrier &b = barriers[id];
        if (!b.arrived || b.expected) continue;
        if (config().strict)
            fail(b.site,
                 "thread %u ended while %u threads of its block wait at this barrier (EMU_STRICT=0 lets them go on)",
                 f->index, b.arrived);
        if (complete(b)) release(id);
    }
}

void barriers_describe(uint32_t id, char *text, size_t bytes)
{
    const Barrier &b = barriers[id];
    snprintf(text, bytes, "barrier %u: %u of %u have come", id, b.arrived, b.expected ? b.expected : whole_block());
}

void bar_sync(uint32_t id, uint32_t count, bool aligned, const Site *site)
{
    arrive(id, count, aligned, true, false, site);
}

void bar_arrive(uint32_t id, uint32_t count, bool aligned, const Site *site)
{
    if (count == 0) fail(site, "bar.arrive needs a number of threads");
    arrive(id, count, aligned, false, false, site);
}

uint32_t bar_red_popc(uint32_t id, uint32_t count, bool p, bool aligned, const Site *site)
{
    const uint32_t parity = arrive(id, count, aligned, true, p, site);
    return barriers[id].result[parity];
}

bool bar_red_and(uint32_t id, uint32_t count, bool p, bool aligned, const Site *site)
{
    const uint32_t parity = arrive(id, count, aligned, true, p, site);
    return barriers[id].all[parity];
}

bool bar_red_or(uint32_t id, uint32_t count, bool p, bool aligned, const Site *site)
{
    return bar_red_popc(id, count, p, aligned, site) != 0;
}

} // namespace emu

// SPDX-License-Identifier: MIT
// Warp collectives. The lanes of a mask meet; the last to come computes for all. Only bar.warp.sync orders memory.
#include "warp.h"

#include <string.h>

#include "collective.h"
#include "config.h"
#include "report.h"
#include "sched.h"

namespace emu
{
namespace
{

// Collectives of one warp under way: those with disjoint masks do not disturb each other, so the lowest lane finds one.
struct Meeting {
    uint32_t mask, arrived, generation;
    const Site *site;
    Share *shares[32];
    char token[2];
};

Meeting meetings[32][32];

uint32_t lanes_of(uint32_t warp)
{
    const uint32_t n = grid.n_threads - warp * 32;
    return n < 32 ? (1u << n) - 1 : ~0u;
}

void finish(uint32_t warp, Meeting &m)
{
    const uint32_t arrived = m.arrived;
    const Share *first = m.shares[__builtin_ctz(arrived)];
    if (first->compute) first->compute(m.shares, arrived);
    m.arrived = 0;
    m.generation++;
    counts.collectives++;
    for (uint32_t rest = arrived; rest; rest &= rest - 1) {
        Fiber *f = thread_at(warp * 32 + static_cast<uint32_t>(__builtin_ctz(rest)));
        if (f->state == AT_WARP) make_ready(f); // all but the last to come
    }
}

bool complete(uint32_t warp, const Meeting &m) { return m.arrived == (m.mask & ~exited_lanes(warp)); }

void check_mask(uint32_t mask, const Site *site)
{
    const Fiber *f = current();
    if (!(mask >> f->lane & 1)) fail(site, "lane %u is not in its own mask %08x", f->lane, mask);
    const uint32_t gone = mask & exited_lanes(f->warp);
    if (gone && config().strict)
        fail(site, "mask %08x names lanes %08x, which have exited (EMU_STRICT=0 lets it)", mask, gone);
}

} // namespace

void meet(uint32_t mask, Share &share, bool aligned, bool orders, const Site *site)
{
    Fiber *f = current();
    const uint32_t full = mask;
    mask &= lanes_of(f->warp); // lanes that never were
    check_mask(mask, site);
    Meeting &m = meetings[f->warp][__builtin_ctz(mask)];
    if (m.arrived == 0) {
        m.mask = mask;
        m.site = site;
    } else if (m.mask != mask || (m.site != site && (aligned || strcmp(m.site->op, site->op) != 0))) {
        fail(site, "lane %u is here with mask %08x, others of warp %u are at %s:%d: %s with mask %08x", f->lane, full,
             f->warp, m.site->file, m.site->line, m.site->op, m.mask);
    }
    m.arrived |= 1u << f->lane;
    m.shares[f->lane] = &share;
    f->mask = mask;
    char *token = &m.token[m.generation & 1];
    if (orders) order_release(token);
    if (complete(f->warp, m)) {
        finish(f->warp, m);
        if (!privileged()) reschedule();
    } else {
        wait_as(AT_WARP, site);
    }
    if (orders) order_acquire(token);
}

void warps_reset(uint32_t n_threads)
{
    for (uint32_t w = 0; w < (n_threads + 31) / 32; w++)
        for (Meeting &m : meetings[w]) m.arrived = 0;
}

void warps_exit(Fiber *f)
{
    for (Meeting &m : meetings[f->warp]) {
        if (!m.arrived || !(m.mask >> f->lane & 1)) continue;
        if (config().strict)
            fail(m.site, "lane %u of warp %u ended while lanes %08x wait for it here (mask %08x)", f->lane, f->warp,
                 m.arrived, m.mask);
        if (complete(f->warp, m)) finish(f->warp, m);
    }
}

void warp_sync(uint32_t mask, const Site *site)
{
    Share s = {};
    meet(mask, s, false, true, site);
}

} // namespace emu

/* SPDX-License-Identifier: MIT
 * cp.async at its worst: the destination is garbage from the moment of issue, the source is read and the data lands
 * only at the wait that must see it. Inlined in translated code, so that sanitizers see who writes when. */
#ifndef EMU_ASYNC_H
#define EMU_ASYNC_H

#include "memory.h"

namespace emu
{

void count_copy(uint32_t bytes);
void note_write(const uint8_t *to); /* this thread's, to a granule of shared memory */

template <uint32_t N> inline void cp_async(uint8_t *to, uint64_t from, uint32_t live, const Site *site)
{
    if (live > N) fail(site, "cp.async of %u bytes with a source of %u", N, live);
    if (from & (N - 1))
        fail(site, "misaligned cp.async: source 0x%llx is no multiple of %u", static_cast<unsigned long long>(from), N);
    if (self->n_copies == MAX_COPIES) fail(site, "more than %d cp.async of one thread in flight", MAX_COPIES);
    if (live) generic_ptr<1, false>(from, site), generic_ptr<1, false>(from + live - 1, site);
    // No memset, which gcc expands behind the thread sanitizer's back: threads that still read are to be seen here.
    for (uint32_t i = 0; i < N / 4; i++) store<uint32_t>(to, static_cast<int>(i), 0xffffffffu);
    self->copies[self->n_copies++] = Copy{to, from, N, live, self->group, site};
    count_copy(N);
}

inline void cp_commit() { self->group++; }

inline void land(const Copy &c)
{
    for (uint32_t i = 0; i < c.bytes; i += 4) {
        uint32_t word = 0;
        if (i + 4 <= c.live) {
            word = load<uint32_t>(generic_ptr<4, false>(c.from + i, c.site), 0);
        } else {
            for (uint32_t k = i; k < c.live; k++)
                word |= static_cast<uint32_t>(load<uint8_t>(generic_ptr<1, false>(c.from + k, c.site), 0))
                        << 8 * (k - i);
        }
        store<uint32_t>(c.to, static_cast<int>(i / 4), word);
    }
    note_write(c.to);
}

/* All groups but the newest n are complete. */
inline void cp_wait(uint32_t n)
{
    Thread *t = self;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < t->n_copies; i++) {
        if (t->copies[i].group + n < t->group) land(t->copies[i]);
        else t->copies[kept++] = t->copies[i];
    }
    t->n_copies = kept;
}

inline void cp_wait_all()
{
    cp_commit();
    cp_wait(0);
}

} // namespace emu

#endif

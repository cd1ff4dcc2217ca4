/* SPDX-License-Identifier: MIT
 * wgmma at its worst: registers of a result hold nothing but a NaN until the wait that must see it; operands are read when
 * the product is issued and again in that wait, and must not have changed in between.
 *
 * Each lane reads a share of what its warp multiplies, in instrumented code, so that sanitizers see who reads. The NaN names
 * the product and the register: whatever mov made of registers, the wait finds them. */
#ifndef EMU_WGMMA_H
#define EMU_WGMMA_H

#include "warp.h"

namespace emu
{

enum { MAX_WGMMA_N = 256, MAX_PARTS = 1 + MAX_WGMMA_N * 2 / 32 };

/* 16 bytes of an operand: two make a row of it. */
struct Part {
    uint32_t word[4];
};

/* N columns of the result. */
struct ProductCall {
    const Site *site;
    uint64_t a, b; /* descriptors */
    int n;
    MmaType type;
    bool add;
};

struct Product : ProductCall {
    uint32_t number, group;
    bool done;
    Part parts[MAX_PARTS]; /* the first of a, the others of b */
    float in[MAX_WGMMA_N / 2], out[MAX_WGMMA_N / 2];
};

/* Parts that this lane reads, and where the i-th is: an address in shared memory. */
inline int parts_of_lane(int n) { return 1 + (n * 2 - static_cast<int>(self->lane) + 31) / 32; }
uint32_t part_address(const Product &p, int i);

Product *product_open(const ProductCall &call, float *d);            /* checks; d gets names in place of values */
const Product *products_complete(uint32_t groups_left, uint32_t *n); /* the oldest of this thread */
void products_compute(uint32_t n, const Site *site);
[[noreturn]] void product_changed(const Product &p);

/* A name is a NaN that no instruction makes: 0xffd, then the number of the product and the register. */
inline bool is_name(float x) { return as<uint32_t>(x) >> 20 == 0xffd; }
float named_value(float name);
/* What is no name of a product that is done, stays as it is. */
inline float product_value(float x) { return is_name(x) ? named_value(x) : x; }

inline Part read_part(const Product &p, int i)
{
    const uint8_t *at = shared_ptr<16, false>(part_address(p, i), p.site);
    Part part;
    for (int k = 0; k < 4; k++) part.word[k] = load<uint32_t>(at, k);
    return part;
}

/* d: n / 2 registers. */
inline void wgmma(const ProductCall &call, float *d)
{
    Product *p = product_open(call, d);
    for (int i = 0; i < parts_of_lane(p->n); i++) p->parts[i] = read_part(*p, i);
}

void wgmma_fence(const Site *site);
void wgmma_commit(const Site *site);
/* Before registers are looked up by product_value, and after that. */
inline void wgmma_wait(uint32_t groups_left, const Site *site)
{
    uint32_t n = 0;
    const Product *p = products_complete(groups_left, &n);
    for (uint32_t k = 0; k < n; k++)
        for (int i = 0; i < parts_of_lane(p[k].n); i++) {
            const Part now = read_part(p[k], i);
            if (memcmp(&now, &p[k].parts[i], sizeof now) != 0) product_changed(p[k]);
        }
    products_compute(n, site);
}
void wgmma_waited();

inline void fence_proxy() { self->fences++; }

} // namespace emu

#endif

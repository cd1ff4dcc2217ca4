// SPDX-License-Identifier: MIT
// Products of a warpgroup that are under way: descriptors of operands, the rules of order, results. PTX manual, "Asynchronous
// Warpgroup Level Matrix Multiply-Accumulate Instructions".
#include "wgmma.h"

#include <algorithm>
#include <vector>

#include "collective.h"
#include "config.h"
#include "report.h"
#include "sched.h"
#include "tiles.h"

namespace emu
{
namespace
{

enum { GROUP_WARPS = 4, MAX_THREADS = 1024, NUMBERS = 4096 };

// Of a thread.
struct Issuer {
    std::vector<Product> products; // not waited for, oldest first
    uint32_t issued, group;        // group: the one that collects
    bool fenced;                   // since results came
};

// The warps of a group issue the same.
struct Issued {
    const Site *site;
    uint64_t a, b;
};

Issuer issuers[MAX_THREADS];
std::vector<Issued> logs[MAX_THREADS / 32 / GROUP_WARPS];

Issuer &mine() { return issuers[self->index]; }

void meet_warp(Share &s, const Site *site)
{
    const uint32_t group = self->warp / GROUP_WARPS;
    if (config().device.arch != 90)
        fail(site, "the device is an sm_%d: only sm_90 has it (EMU_ARCH)", config().device.arch);
    if (grid.n_threads < (group + 1) * GROUP_WARPS * 32) fail(site, "the warpgroup has fewer than 128 threads");
    meet(~0u, s, true, false, site);
}

void meet_warp(const Site *site)
{
    Share s = {};
    meet_warp(s, site);
}

// ---- descriptors ---------------------------------------------------------------------------------------------------

uint32_t field(uint64_t descriptor, int first, int bits) { return descriptor >> first & ((1u << bits) - 1); }

enum { NO_SWIZZLE, SWIZZLE_128, SWIZZLE_64, SWIZZLE_32 };

// Bytes of a line of a swizzle; eight rows are eight lines.
uint32_t line_bytes(uint64_t descriptor) { return 256u >> field(descriptor, 62, 2); }

void check_descriptor(uint64_t d, const Site *site)
{
    const uint32_t start = field(d, 0, 14) << 4, base = field(d, 49, 3);
    if (base != 0) fail(site, "descriptor %016llx: a base offset is not emulated", static_cast<unsigned long long>(d));
    if (field(d, 62, 2) == NO_SWIZZLE) return;
    if (start % (8 * line_bytes(d)) >= line_bytes(d))
        fail(site, "descriptor %016llx: 0x%x does not lie in the first line of a swizzle of %u bytes",
             static_cast<unsigned long long>(d), start, line_bytes(d));
}

// Where a half row of 16 bytes begins, depth along the rows. "Canonical layouts" of the manual: eight rows are a matrix; without
// a swizzle its rows are 16 bytes apart and the other half is the leading distance away; else rows are lines, and
// bits 4 and on of an address are those of the row too.
uint32_t half_row(uint64_t d, uint32_t row, uint32_t half)
{
    const uint32_t start = field(d, 0, 14) << 4, leading = field(d, 16, 14) << 4, stride = field(d, 32, 14) << 4;
    const uint32_t eight = start + row / 8 * stride;
    if (field(d, 62, 2) == NO_SWIZZLE) return eight + half * leading + row % 8 * 16;
    const uint32_t at = eight + row % 8 * line_bytes(d) + half * 16;
    return at ^ (at >> 7 & (line_bytes(d) / 16 - 1)) << 4;
}

// ---- registers -----------------------------------------------------------------------------------------------------

float name_of(const Product &p, int i)
{
    return as<float>(0xffd00000u | (p.number % NUMBERS) << 8 | static_cast<uint32_t>(i));
}

// Of a name among a thread's products, or what it was.
float value_of(const Issuer &of, float x)
{
    if (!is_name(x)) return x;
    const uint32_t number = as<uint32_t>(x) >> 8 & (NUMBERS - 1);
    for (const Product &p : of.products)
        if (p.done && p.number % NUMBERS == number) return p.out[as<uint32_t>(x) & 255];
    return x;
}

// ---- results -------------------------------------------------------------------------------------------------------

// The i-th product of the lanes of a warp.
void gather(Tiles &x, Issuer *lanes, size_t i, int column)
{
    const Product &first = lanes[0].products[i];
    for (int lane = 0; lane < 32; lane++) {
        const Product &p = lanes[lane].products[i];
        for (int k = 0; k < 8; k++) x.a[lane / 2][lane % 2 * 8 + k] = element(p.parts[0].word[k / 2], k % 2, p.type);
        for (int r = 0; r < 4; r++) {
            const float c = p.in[column / 2 + r];
            x.c[lane / 4 + r / 2 * 8][lane % 4 * 2 + r % 2] = p.add ? c : 0;
        }
    }
    for (int j = 0; j < TILE_N; j++)
        for (int half = 0; half < 2; half++) {
            const int part = (column + j) * 2 + half;
            const Part &b = lanes[part % 32].products[i].parts[1 + part / 32];
            for (int k = 0; k < 8; k++) x.b[half * 8 + k][j] = element(b.word[k / 2], k % 2, first.type);
        }
}

void compute_product(Issuer *lanes, size_t i)
{
    for (int lane = 0; lane < 32; lane++) {
        Product &p = lanes[lane].products[i];
        for (int r = 0; r < p.n / 2; r++) p.in[r] = value_of(lanes[lane], p.in[r]);
    }
    const int n = lanes[0].products[i].n, type = lanes[0].products[i].type;
    for (int column = 0; column < n; column += TILE_N) {
        Tiles x;
        gather(x, lanes, i, column);
        multiply(x, TILE_K, type);
        for (int lane = 0; lane < 32; lane++)
            for (int r = 0; r < 4; r++)
                lanes[lane].products[i].out[column / 2 + r] = x.d[lane / 4 + r / 2 * 8][lane % 4 * 2 + r % 2];
        counts.mma++;
    }
    for (int lane = 0; lane < 32; lane++) lanes[lane].products[i].done = true;
}

void compute_products(Share *const *s, uint32_t)
{
    for (int i = 0; i < s[0]->n; i++) compute_product(&issuers[s[0]->a], static_cast<size_t>(i));
}

// ---- order ---------------------------------------------------------------------------------------------------------

void check_same(const ProductCall &p)
{
    const uint32_t first_warp = self->warp / GROUP_WARPS * GROUP_WARPS, k = mine().issued;
    std::vector<Issued> &log = logs[self->warp / GROUP_WARPS];
    if (k == log.size()) {
        for (uint32_t w = first_warp; w < first_warp + GROUP_WARPS; w++)
            if (exited_lanes(w)) fail(p.site, "threads of warp %u, of the same warpgroup, have ended", w);
        log.push_back(Issued{p.site, p.a, p.b});
    } else if (log[k].site != p.site || log[k].a != p.a || log[k].b != p.b) {
        fail(p.site, "warp %u issues this with descriptors %016llx, %016llx, another one of its warpgroup %s:%d: %s", self->warp,
             static_cast<unsigned long long>(p.a), static_cast<unsigned long long>(p.b), log[k].site->file, log[k].site->line,
             log[k].site->op);
    }
}

// Sums that are still under way may be added to without a fence.
void check_fence(const ProductCall &p, const float *d)
{
    if (mine().fenced) return;
    for (int i = 0; i < p.n / 2; i++)
        if (!is_name(d[i])) fail(p.site, "no wgmma.fence between its registers being written or read and this product");
}

// What this lane will read was written by others than the async proxy: they have to let it see that.
void check_published(const Product &p)
{
    for (int i = 0; i < parts_of_lane(p.n); i++) {
        const uint32_t at = part_address(p, i);
        if (at >= grid.shared_end) continue; // reading it fails
        const Writer w = grid.shared_writers[at / GRANULE];
        if (w.thread != 0 && thread_at(w.thread - 1)->fences == w.fences)
            fail(p.site, "thread %u has written byte %u of shared memory, and no fence.proxy.async lies between",
                 w.thread - 1, at);
    }
}

} // namespace

void note_write(const uint8_t *to)
{
    grid.shared_writers[(to - grid.shared) / GRANULE] = Writer{self->index + 1, self->fences};
}

uint32_t part_address(const Product &p, int i)
{
    const uint32_t part = self->lane + 32 * (static_cast<uint32_t>(i) - 1); // of b
    if (i == 0) return half_row(p.a, self->warp % GROUP_WARPS * 16 + self->lane / 2, self->lane % 2);
    return half_row(p.b, part / 2, part % 2);
}

Product *product_open(const ProductCall &call, float *d)
{
    meet_warp(call.site);
    check_descriptor(call.a, call.site);
    check_descriptor(call.b, call.site);
    check_same(call);
    check_fence(call, d);
    Issuer &own = mine();
    if (own.products.size() == NUMBERS / 2)
        fail(call.site, "more than %d products of one thread in flight", NUMBERS / 2);
    own.products.emplace_back();
    Product *p = &own.products.back();
    static_cast<ProductCall &>(*p) = call;
    p->number = own.issued++;
    p->group = own.group;
    p->done = false;
    check_published(*p);
    std::copy_n(d, p->n / 2, p->in);
    for (int i = 0; i < p->n / 2; i++) d[i] = name_of(*p, i);
    return p;
}

void wgmma_fence(const Site *site)
{
    meet_warp(site);
    mine().fenced = true;
}

void wgmma_commit(const Site *site)
{
    meet_warp(site);
    mine().group++;
}

const Product *products_complete(uint32_t groups_left, uint32_t *n)
{
    const Issuer &own = mine();
    *n = 0;
    while (*n < own.products.size() && own.products[*n].group + groups_left < own.group) ++*n;
    return own.products.data();
}

void products_compute(uint32_t n, const Site *site)
{
    Share s = {};
    s.compute = compute_products;
    s.n = static_cast<int>(n);
    s.a = self->warp * 32;
    meet_warp(s, site);
}

void product_changed(const Product &p)
{
    fail(p.site, "what this product reads in shared memory has changed before wgmma.wait_group");
}

float named_value(float name) { return value_of(mine(), name); }

void wgmma_waited()
{
    Issuer &own = mine();
    for (Product &p : own.products)
        if (!p.done)
            for (int i = 0; i < p.n / 2; i++) p.in[i] = value_of(own, p.in[i]);
    const auto open = std::find_if(own.products.begin(), own.products.end(), [](const Product &p) { return !p.done; });
    if (open != own.products.begin()) own.fenced = false;
    own.products.erase(own.products.begin(), open);
}

void products_reset(uint32_t n_threads)
{
    for (uint32_t i = 0; i < n_threads; i++) {
        issuers[i].products.clear();
        issuers[i].issued = issuers[i].group = 0;
        issuers[i].fenced = false;
    }
    for (std::vector<Issued> &log : logs) {
        log.clear();
        log.reserve(NUMBERS); // else threads move it, which the thread sanitizer takes for accesses of theirs
    }
}

void products_exit(Fiber *f)
{
    const Issuer &own = issuers[f->index];
    const std::vector<Issued> &log = logs[f->warp / GROUP_WARPS];
    if (!own.products.empty())
        fail(own.products[0].site, "the thread ended with %zu products that nothing waited for", own.products.size());
    if (own.issued < log.size())
        fail(log[own.issued].site, "warp %u ended, another one of its warpgroup issues this", f->warp);
}

} // namespace emu

// SPDX-License-Identifier: MIT
#include "sched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "config.h"
#include "memory.h"
#include "report.h"

namespace emu
{

Thread *self;
Grid grid;

namespace
{

// Fibers that can run, in a ring: it holds each at most once.
struct Ready {
    uint32_t at[1024], head = 0, n = 0;
    uint32_t &slot(uint32_t i) { return at[(head + i) % 1024]; }
    void push(uint32_t v) { slot(n++) = v; }
    uint32_t pop_front()
    {
        n--;
        return at[head++ % 1024];
    }
    uint32_t pop_back() { return slot(--n); }
    uint32_t pop_any()
    {
        const uint32_t i = random_below(n);
        std::swap(slot(0), slot(i));
        return pop_front();
    }
};

Ready ready;
Fiber *pool;
uint32_t n_live, exited[32];
char started, ended; // tokens: the start of a block comes before its threads, they before its end
bool failed;

std::string threads_text(const std::vector<uint32_t> &list)
{
    std::string out;
    for (size_t i = 0; i < list.size();) {
        size_t k = i;
        while (k + 1 < list.size() && list[k + 1] == list[k] + 1) k++;
        out += (out.empty() ? "" : ",") + std::to_string(list[i]);
        if (k > i) out += "-" + std::to_string(list[k]);
        i = k + 1;
    }
    return out;
}

[[noreturn]] void deadlock()
{
    std::map<std::tuple<int, std::string, int, std::string>, std::vector<uint32_t>> groups;
    std::vector<uint32_t> gone;
    for (uint32_t i = 0; i < grid.n_threads; i++) {
        const Fiber &f = pool[i];
        if (f.state == EXITED) {
            gone.push_back(i);
            continue;
        }
        char what[96];
        if (f.state == AT_BARRIER) barriers_describe(f.barrier, what, sizeof what);
        else snprintf(what, sizeof what, "mask %08x", f.mask);
        groups[{f.state, f.site->file, f.site->line, std::string(f.site->op) + " (" + what + ")"}].push_back(i);
    }
    std::string text = "deadlock: nobody can go on";
    for (const auto &g : groups)
        text += "\nemu:   threads " + threads_text(g.second) + " wait at " + std::get<1>(g.first) + ":" +
                std::to_string(std::get<2>(g.first)) + ": " + std::get<3>(g.first);
    if (!gone.empty()) text += "\nemu:   threads " + threads_text(gone) + " have exited";
    fail(nullptr, "%s", text.c_str());
}

Fiber *next()
{
    if (ready.n == 0) {
        if (n_live == 0) return main_fiber();
        deadlock();
    }
    switch (config().order) {
    case REVERSE: return &pool[ready.pop_back()];
    case RANDOM: return &pool[ready.pop_any()];
    default: return &pool[ready.pop_front()];
    }
}

void thread_over(Fiber *f)
{
    if (f->n_copies) {
        const Site *site = f->copies[0].site;
        fail(site, "the thread ended with %u cp.async that nothing waited for", f->n_copies);
    }
    products_exit(f);
    f->state = EXITED;
    n_live--;
    exited[f->warp] |= 1u << f->lane;
    barriers_exit(f);
    warps_exit(f);
    order_release(&ended);
}

void entry()
{
    fiber_started();
    for (;;) {
        order_acquire(&started);
        grid.kernel->fn(grid.params);
        Fiber *f = current();
        thread_over(f);
        fiber_switch(f, next());
    }
}

// ---- shared memory -------------------------------------------------------------------------------------------------

struct Window {
    std::vector<uint8_t> memory;
    std::vector<uint16_t> map;
    std::vector<Writer> writers;
    void add(uint32_t at, uint32_t bytes)
    {
        for (uint32_t i = at; i < at + bytes; i++)
            map[i / GRANULE] = static_cast<uint16_t>(map[i / GRANULE] | 1u << i % GRANULE);
    }
};

void open_window(Window &w, const Kernel *k, const Shape &s)
{
    const uint32_t end = k->dynamic_at + s.dynamic_bytes + 1024;
    w.memory.resize(end + 1024);
    w.map.assign(end / GRANULE + 1, 0);
    w.writers.resize(end / GRANULE + 1);
    for (uint32_t i = 0; i < k->n_shared; i++) w.add(k->shared[i].at, k->shared[i].size);
    w.add(k->dynamic_at, s.dynamic_bytes);
    uint8_t *start = w.memory.data();
    start += (1024 - reinterpret_cast<uintptr_t>(start) % 1024) % 1024;
    grid.shared = start;
    grid.shared_map = w.map.data();
    grid.shared_writers = w.writers.data();
    grid.shared_end = end - 1024 + GRANULE;
}

void start_block(const Shape &s, uint32_t n)
{
    n_live = n;
    ready.head = ready.n = 0;
    memset(exited, 0, sizeof exited);
    memset(grid.shared, 0xff, grid.shared_end);
    std::fill_n(grid.shared_writers, grid.shared_end / GRANULE, Writer{});
    barriers_reset();
    warps_reset(n);
    products_reset(n);
    for (uint32_t i = 0; i < n; i++) {
        Fiber &f = pool[i];
        f.state = READY;
        f.index = i, f.lane = i % 32, f.warp = i / 32;
        f.tid = Dim{i % s.block.x, i / s.block.x % s.block.y, i / (s.block.x * s.block.y)};
        f.n_copies = f.group = f.fences = 0;
        ready.push(i);
    }
}

} // namespace

// ---- what barriers and collectives use -----------------------------------------------------------------------------

Fiber *current() { return static_cast<Fiber *>(self); }
Fiber *thread_at(uint32_t index) { return &pool[index]; }
uint32_t live_threads() { return n_live; }
uint32_t exited_lanes(uint32_t warp) { return exited[warp]; }
bool privileged() { return config().order == FORWARD; }

void make_ready(Fiber *f)
{
    f->state = READY;
    ready.push(f->index);
}

void wait_as(State state, const Site *site)
{
    Fiber *f = current();
    f->state = state;
    f->site = site;
    fiber_switch(f, next());
}

void reschedule()
{
    Fiber *f = current();
    ready.push(f->index);
    fiber_switch(f, next());
}

void yield() { reschedule(); }

void thread_exit()
{
    Fiber *f = current();
    thread_over(f);
    f->fresh = true;
    fiber_switch(f, next());
    __builtin_unreachable();
}

void leave_grid()
{
    failed = true;
    fiber_switch(current(), main_fiber());
    __builtin_unreachable();
}

bool run_grid(const Kernel *kernel, const Shape &shape, const uint8_t *params)
{
    static Window window;
    const uint32_t n = shape.block.x * shape.block.y * shape.block.z;
    grid = Grid{};
    grid.ntid = shape.block, grid.nctaid = shape.grid, grid.n_threads = n;
    grid.kernel = kernel, grid.params = params;
    grid.dynamic_at = kernel->dynamic_at, grid.dynamic_bytes = shape.dynamic_bytes;
    grid.shared_bytes = kernel->static_bytes + shape.dynamic_bytes;
    open_window(window, kernel, shape);
    failed = false;
    for (uint32_t z = 0; z < shape.grid.z && !failed; z++)
        for (uint32_t y = 0; y < shape.grid.y && !failed; y++)
            for (uint32_t x = 0; x < shape.grid.x && !failed; x++) {
                grid.ctaid = Dim{x, y, z};
                pool = fibers(n, entry);
                start_block(shape, n);
                order_release(&started);
                fiber_switch(main_fiber(), next());
                order_acquire(&ended);
                for (uint32_t i = 0; i < n; i++)
                    if (pool[i].fresh || failed) fiber_abandon(&pool[i]);
            }
    self = nullptr;
    stats_blocks(shape.grid.x * shape.grid.y * shape.grid.z);
    if (!failed) note_executed(kernel->name);
    return !failed;
}

} // namespace emu

// SPDX-License-Identifier: MIT
#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <deque>
#include <map>

#include "config.h"
#include "memory.h"
#include "sched.h"

namespace emu
{

Arena arena;

namespace
{

enum : uint64_t { GUARD = 256, ALIGN = 256, QUARANTINE = 256u << 20 };

uint16_t *map; // arena.map, to write
std::map<uint64_t, Allocation> on_device, on_host;
std::deque<uint64_t> freed; // oldest first
uint64_t used, cursor, in_quarantine, n_allocations;

uint64_t span(uint64_t bytes) { return (bytes + ALIGN - 1) / ALIGN * ALIGN + GUARD; }

void *reserve(uint64_t bytes, int protection)
{
    void *p = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        perror("emu: cannot reserve addresses for device memory (EMU_MEMORY, in MiB, asks for less)");
        _exit(EXIT_STATUS);
    }
    return p;
}

void set_map(uint64_t addr, uint64_t bytes, bool valid)
{
    const uint64_t at = (addr - arena.base) / GRANULE, whole = bytes / GRANULE;
    memset(map + at, valid ? 0xff : 0, whole * sizeof *map);
    if (bytes % GRANULE) map[at + whole] = valid ? static_cast<uint16_t>((1u << bytes % GRANULE) - 1) : 0;
}

// A place for that many bytes: new, or of something freed long ago.
uint64_t find_place(uint64_t bytes)
{
    const uint64_t need = span(bytes) + ALIGN;
    if (in_quarantine > QUARANTINE || cursor + need > arena.size)
        for (auto it = freed.begin(); it != freed.end(); ++it) {
            const Allocation old = on_device[*it];
            if (span(old.bytes) < span(bytes)) continue;
            in_quarantine -= old.bytes;
            on_device.erase(old.addr);
            freed.erase(it);
            return old.addr;
        }
    if (cursor + need > arena.size) return 0;
    uint64_t at = cursor;
    if (at % (2 * ALIGN) == 0) at += ALIGN; // aligned to 256 bytes, as promised, and no better
    cursor = at + span(bytes);
    return arena.base + at;
}

const Allocation *holder(const std::map<uint64_t, Allocation> &table, uint64_t addr)
{
    auto it = table.upper_bound(addr);
    if (it == table.begin()) return nullptr;
    const Allocation &a = (--it)->second;
    return a.live && addr - a.addr < (a.bytes ? a.bytes : 1) ? &a : nullptr;
}

} // namespace

void device_init()
{
    if (arena.size) return;
    const uint64_t size = 2 * config().memory_bytes; // twice: what was freed keeps its addresses for a while
    arena.base = reinterpret_cast<uint64_t>(reserve(size + SHARED_WINDOW, PROT_NONE));
    arena.shared_window = arena.base + size;
    arena.memory = static_cast<uint8_t *>(reserve(size, PROT_READ | PROT_WRITE));
    map = static_cast<uint16_t *>(reserve(size / GRANULE * sizeof *map, PROT_READ | PROT_WRITE));
    arena.map = map;
    arena.size = size;
    cursor = GUARD;
}

uint64_t device_alloc(uint64_t bytes, Kind kind, bool live)
{
    device_init();
    if (bytes > config().memory_bytes || used + bytes > config().memory_bytes) return 0;
    const uint64_t addr = find_place(bytes);
    if (!addr) return 0;
    used += bytes;
    on_device[addr] = Allocation{addr, bytes, kind, true, ++n_allocations};
    memset(arena.memory + (addr - arena.base), 0xff, bytes);
    if (live) set_map(addr, bytes, true);
    return addr;
}

void device_set_live(uint64_t addr, bool live)
{
    auto it = on_device.find(addr);
    if (it != on_device.end()) set_map(addr, it->second.bytes, live);
}

bool device_free(uint64_t addr)
{
    auto it = on_device.find(addr);
    if (it == on_device.end() || !it->second.live || it->second.kind == VARIABLE) return false;
    it->second.live = false;
    set_map(addr, it->second.bytes, false);
    used -= it->second.bytes;
    in_quarantine += it->second.bytes;
    freed.push_back(addr);
    return true;
}

void device_forget()
{
    for (const auto &a : on_device) device_free(a.first);
    for (auto it = on_host.begin(); it != on_host.end();) {
        if (it->second.kind != REGISTERED) free(reinterpret_cast<void *>(it->first));
        it = on_host.erase(it);
    }
}

void host_register(void *p, uint64_t bytes, Kind kind)
{
    const uint64_t addr = reinterpret_cast<uint64_t>(p);
    on_host[addr] = Allocation{addr, bytes, kind, true, ++n_allocations};
}

bool host_unregister(const void *p, Kind kind)
{
    auto it = on_host.find(reinterpret_cast<uint64_t>(p));
    if (it == on_host.end() || it->second.kind != kind) return false;
    on_host.erase(it);
    return true;
}

const Allocation *device_find(uint64_t addr) { return holder(on_device, addr); }
const Allocation *host_find(uint64_t addr) { return holder(on_host, addr); }
uint64_t device_bytes_used() { return used; }
bool is_device_address(const void *p) { return reinterpret_cast<uint64_t>(p) - arena.base < arena.size; }

void for_each_live(void (*f)(const Allocation &))
{
    for (const auto *table : {&on_device, &on_host})
        for (const auto &a : *table)
            if (a.second.live && a.second.kind != VARIABLE && a.second.kind != REGISTERED) f(a.second);
}

std::string device_describe(uint64_t addr)
{
    char text[160];
    if (addr - arena.base >= arena.size) {
        snprintf(text, sizeof text, "0x%llx, which is no device memory", static_cast<unsigned long long>(addr));
        return text;
    }
    auto it = on_device.upper_bound(addr);
    if (it != on_device.begin()) {
        const Allocation &a = std::prev(it)->second;
        const unsigned long long at = addr - a.addr, bytes = a.bytes, number = a.number;
        if (at < bytes)
            snprintf(text, sizeof text, "byte %llu of allocation %llu (%llu bytes)%s", at, number, bytes,
                     a.live ? ", which is not (or no longer) there at this point of the stream" : ", which was freed");
        else
            snprintf(text, sizeof text, "%llu bytes after the end of allocation %llu (%llu bytes)%s", at - bytes,
                     number, bytes, a.live ? "" : ", which was freed");
        if (at < bytes + ALIGN || it == on_device.end()) return text;
    }
    if (it == on_device.end()) return "device memory that was never allocated";
    snprintf(text, sizeof text, "%llu bytes before allocation %llu (%llu bytes)",
             static_cast<unsigned long long>(it->first - addr), static_cast<unsigned long long>(it->second.number),
             static_cast<unsigned long long>(it->second.bytes));
    return text;
}

uint8_t *reach(const void *p, uint64_t bytes, const char *who)
{
    const uint64_t addr = reinterpret_cast<uint64_t>(p);
    if (!is_device_address(p)) return static_cast<uint8_t *>(const_cast<void *>(p));
    uint8_t *at = arena.memory + (addr - arena.base);
    if (bytes == 0) return at;
    const auto there = [](uint64_t a) { return arena.map[(a - arena.base) / GRANULE] >> a % GRANULE & 1; };
    const Allocation *a = device_find(addr);
    if (!a || !there(addr))
        fail(nullptr, "%s of %llu bytes: %s", who, static_cast<unsigned long long>(bytes),
             device_describe(addr).c_str());
    if (addr + bytes > a->addr + a->bytes)
        fail(nullptr, "%s of %llu bytes from byte %llu of an allocation of %llu", who,
             static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(addr - a->addr),
             static_cast<unsigned long long>(a->bytes));
    return at;
}

// ---- what translated code could not resolve at once ----------------------------------------------------------------

namespace
{

[[noreturn]] void bad_global(uint64_t addr, uint32_t bytes, bool write, const Site *site)
{
    note_failure_kind(FAILED_ACCESS);
    if (addr & (bytes - 1))
        fail(site, "misaligned %s of %u bytes at 0x%llx", write ? "write" : "read", bytes,
             static_cast<unsigned long long>(addr));
    fail(site, "out of bounds %s of %u bytes: %s", write ? "write" : "read", bytes, device_describe(addr).c_str());
}

} // namespace

// Host memory that the device may use: pinned, registered, managed.
uint8_t *global_slow(uint64_t addr, uint32_t bytes, bool write, const Site *site)
{
    const Allocation *a = host_find(addr);
    if (!a || addr + bytes > a->addr + a->bytes || addr & (bytes - 1)) bad_global(addr, bytes, write, site);
    return reinterpret_cast<uint8_t *>(addr);
}

uint8_t *generic_slow(uint64_t addr, uint32_t bytes, bool write, const Site *site)
{
    const bool in_params = !write && addr - reinterpret_cast<uint64_t>(grid.params) < grid.kernel->param_bytes;
    if ((on_stack(addr, bytes) || in_params) && !(addr & (bytes - 1))) return reinterpret_cast<uint8_t *>(addr);
    return global_slow(addr, bytes, write, site);
}

void bad_shared(uint32_t addr, uint32_t bytes, bool write, const Site *site)
{
    note_failure_kind(FAILED_ACCESS);
    const char *what = write ? "write" : "read";
    if (addr & (bytes - 1)) fail(site, "misaligned shared %s of %u bytes at 0x%x", what, bytes, addr);
    const Kernel *k = grid.kernel;
    for (uint32_t i = 0; i <= k->n_shared; i++) {
        const Extent e = i < k->n_shared ? k->shared[i] : Extent{grid.dynamic_at, grid.dynamic_bytes};
        if (addr >= e.at && addr < e.at + e.size + 64)
            fail(site, "out of bounds shared %s of %u bytes: byte %u of %s of %u", what, bytes, addr - e.at,
                 i < k->n_shared ? "an array" : "the dynamic array", e.size);
    }
    fail(site, "out of bounds shared %s of %u bytes at 0x%x", what, bytes, addr);
}

void bad_param(uint64_t addr, uint32_t bytes, const Site *site)
{
    note_failure_kind(FAILED_ACCESS);
    fail(site, "read of %u bytes at 0x%llx, outside of the parameters or misaligned", bytes,
         static_cast<unsigned long long>(addr));
}

void bad_local(uint64_t addr, uint32_t bytes, bool write, const Site *site)
{
    note_failure_kind(FAILED_ACCESS);
    fail(site, "local %s of %u bytes at 0x%llx, off the thread's stack or misaligned", write ? "write" : "read", bytes,
         static_cast<unsigned long long>(addr));
}

} // namespace emu

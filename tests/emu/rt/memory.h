/* SPDX-License-Identifier: MIT
 * Addresses. A device pointer is a number in a range that is mapped without access: host code that follows one dies,
 * as it would with a GPU. Kernels reach the memory behind it, at a fixed distance, after a check against a map that
 * knows how many bytes of every granule of 16 belong to a live allocation. Shared addresses are offsets from the
 * start of the block's window; as generic addresses they lie in a range of their own. Local memory is the stack of
 * the fiber. */
#ifndef EMU_MEMORY_H
#define EMU_MEMORY_H

#include <string.h>

#include "number.h"
#include "thread.h"

#if defined(__SANITIZE_THREAD__)
#define EMU_UNSEEN __attribute__((no_sanitize("thread"), noinline))
#else
#define EMU_UNSEEN inline
#endif

namespace emu
{

enum { GRANULE = 16 };

/* Aligned accesses of up to 16 bytes lie in one granule, whose map has one bit per valid byte. */
template <uint32_t N> inline bool valid(const uint16_t *map, uint64_t at)
{
    const uint32_t bits = (N == GRANULE ? 0xffffu : (1u << N % GRANULE) - 1) << at % GRANULE;
    return !(at & (N - 1)) && !(bits & ~static_cast<uint32_t>(map[at / GRANULE]));
}

struct Arena {
    uint64_t base, size; /* device addresses */
    uint8_t *memory;     /* where base is kept */
    const uint16_t *map;
    uint64_t shared_window;
};
extern Arena arena;
enum : uint64_t { SHARED_WINDOW = 1u << 24 };

/* Slow paths: other kinds of memory, or the end. */
uint8_t *global_slow(uint64_t addr, uint32_t bytes, bool write, const Site *site);
uint8_t *generic_slow(uint64_t addr, uint32_t bytes, bool write, const Site *site);
[[noreturn]] void bad_shared(uint32_t addr, uint32_t bytes, bool write, const Site *site);
[[noreturn]] void bad_param(uint64_t addr, uint32_t bytes, const Site *site);
[[noreturn]] void bad_local(uint64_t addr, uint32_t bytes, bool write, const Site *site);

template <uint32_t N, bool W> EMU_UNSEEN uint8_t *global_ptr(uint64_t addr, const Site *site)
{
    const uint64_t at = addr - arena.base;
    if (__builtin_expect(at < arena.size && valid<N>(arena.map, at), 1)) return arena.memory + at;
    return global_slow(addr, N, W, site);
}

template <uint32_t N, bool W> uint8_t *const_ptr(uint64_t addr, const Site *site)
{
    return global_ptr<N, W>(addr, site);
}

template <uint32_t N, bool W> EMU_UNSEEN uint8_t *shared_ptr(uint64_t addr, const Site *site)
{
    const uint32_t at = static_cast<uint32_t>(addr);
    if (__builtin_expect(at < grid.shared_end && valid<N>(grid.shared_map, at), 1)) {
        if (W) grid.shared_writers[at / GRANULE] = Writer{self->index + 1, self->fences};
        return grid.shared + at;
    }
    bad_shared(at, N, W, site);
}

inline bool on_stack(uint64_t addr, uint32_t bytes)
{
    return addr - reinterpret_cast<uint64_t>(self->stack) <= self->stack_bytes - bytes;
}

template <uint32_t N, bool W> uint8_t *local_ptr(uint64_t addr, const Site *site)
{
    if (!on_stack(addr, N) || addr & (N - 1)) bad_local(addr, N, W, site);
    return reinterpret_cast<uint8_t *>(addr);
}

template <uint32_t N, bool W> uint8_t *param_ptr(uint64_t addr, const Site *site)
{
    const uint64_t at = addr - reinterpret_cast<uint64_t>(grid.params);
    if ((at > grid.kernel->param_bytes - N && !on_stack(addr, N)) || addr & (N - 1)) bad_param(addr, N, site);
    return reinterpret_cast<uint8_t *>(addr);
}

template <uint32_t N, bool W> EMU_UNSEEN uint8_t *generic_ptr(uint64_t addr, const Site *site)
{
    const uint64_t at = addr - arena.base;
    if (__builtin_expect(at < arena.size && valid<N>(arena.map, at), 1)) return arena.memory + at;
    if (addr - arena.shared_window < SHARED_WINDOW) return shared_ptr<N, W>(addr - arena.shared_window, site);
    return generic_slow(addr, N, W, site);
}

/* ---- conversion of addresses ------------------------------------------------------------------------------------- */

inline uint64_t cvta_global(uint64_t a) { return a; }
inline uint64_t cvta_const(uint64_t a) { return a; }
inline uint64_t cvta_local(uint64_t a) { return a; }
inline uint64_t cvta_param(uint64_t a) { return a; }
inline uint64_t cvta_shared(uint64_t a) { return arena.shared_window + static_cast<uint32_t>(a); }
inline uint64_t cvta_to_global(uint64_t a, const Site *) { return a; }
inline uint64_t cvta_to_const(uint64_t a, const Site *) { return a; }
inline uint64_t cvta_to_local(uint64_t a, const Site *) { return a; }
inline uint64_t cvta_to_param(uint64_t a, const Site *) { return a; }
inline uint64_t cvta_to_shared(uint64_t a, const Site *) { return a - arena.shared_window; }
inline bool is_shared(uint64_t a) { return a - arena.shared_window < SHARED_WINDOW; }
inline bool is_local(uint64_t a) { return on_stack(a, 1); }
inline bool is_global(uint64_t a) { return !is_shared(a) && !is_local(a); }
inline bool is_const(uint64_t) { return false; }
inline bool is_param(uint64_t a) { return a - reinterpret_cast<uint64_t>(grid.params) < grid.kernel->param_bytes; }

/* ---- access ------------------------------------------------------------------------------------------------------ */

template <class T> struct Cell {
    typedef T type __attribute__((may_alias));
};

template <class T> inline T load(const uint8_t *p, int i)
{
    return reinterpret_cast<const typename Cell<T>::type *>(p)[i];
}
template <class T> inline void store(uint8_t *p, int i, T v) { reinterpret_cast<typename Cell<T>::type *>(p)[i] = v; }

template <class T> inline T load_atomic(const uint8_t *p, int i)
{
    typedef typename Bits<sizeof(T)>::type U;
    return as<T>(__atomic_load_n(reinterpret_cast<const typename Cell<U>::type *>(p) + i, __ATOMIC_ACQUIRE));
}

template <class T> inline void store_atomic(uint8_t *p, int i, T v)
{
    typedef typename Bits<sizeof(T)>::type U;
    __atomic_store_n(reinterpret_cast<typename Cell<U>::type *>(p) + i, as<U>(v), __ATOMIC_RELEASE);
}

inline void fence() {} /* blocks run one after another, and the sanitizer orders atomics itself */

inline void poison_local(void *p, size_t n) { memset(p, 0xff, n); }

/* ---- atomics ----------------------------------------------------------------------------------------------------- */

/* f: old -> new. Returns the old value. */
template <class T, class F> inline T atomic_update(uint8_t *p, F f)
{
    typedef typename Bits<sizeof(T)>::type U;
    typename Cell<U>::type *cell = reinterpret_cast<typename Cell<U>::type *>(p);
    U old = __atomic_load_n(cell, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(cell, &old, as<U>(f(as<T>(old))), false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        continue;
    return as<T>(old);
}

f16 atomic_sum(f16 a, f16 b);
bf16 atomic_sum(bf16 a, bf16 b);
f16x2 atomic_sum(f16x2 a, f16x2 b);
bf16x2 atomic_sum(bf16x2 a, bf16x2 b);
inline float atomic_sum(float a, float b) { return a + b; }
inline double atomic_sum(double a, double b) { return a + b; }
template <class T> inline T atomic_sum(T a, T b)
{
    typedef typename Bits<sizeof(T)>::type U;
    return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
}

template <class T> T atom_add(uint8_t *p, T b)
{
    return atomic_update<T>(p, [b](T a) { return atomic_sum(a, b); });
}
template <class T> T atom_min(uint8_t *p, T b)
{
    return atomic_update<T>(p, [b](T a) { return b < a ? b : a; });
}
template <class T> T atom_max(uint8_t *p, T b)
{
    return atomic_update<T>(p, [b](T a) { return b > a ? b : a; });
}
template <class T> T atom_and(uint8_t *p, T b)
{
    return atomic_update<T>(p, [b](T a) { return a & b; });
}
template <class T> T atom_or(uint8_t *p, T b)
{
    return atomic_update<T>(p, [b](T a) { return a | b; });
}
template <class T> T atom_xor(uint8_t *p, T b)
{
    return atomic_update<T>(p, [b](T a) { return a ^ b; });
}
template <class T> T atom_exch(uint8_t *p, T b)
{
    return atomic_update<T>(p, [b](T) { return b; });
}
template <class T> T atom_inc(uint8_t *p, T b)
{
    return atomic_update<T>(p, [b](T a) { return a >= b ? 0 : a + 1; });
}
template <class T> T atom_dec(uint8_t *p, T b)
{
    return atomic_update<T>(p, [b](T a) { return a == 0 || a > b ? b : a - 1; });
}
template <class T> T atom_cas(uint8_t *p, T compare, T value)
{
    return atomic_update<T>(p, [compare, value](T a) { return a == compare ? value : a; });
}

} // namespace emu

#endif

// SPDX-License-Identifier: MIT
#include "fiber.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"

#if defined(EMU_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(EMU_TSAN)
extern "C" {
void *__tsan_get_current_fiber();
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_acquire(void *token);
void __tsan_release(void *token);
}
#endif

namespace emu
{
namespace
{

enum { MAX_THREADS = 1024 };
Fiber *all;
uint32_t n_made;
Fiber main_context;
Fiber *leaving, *arriving; // of the switch under way
#if defined(EMU_ASAN)
const void *main_bottom;
size_t main_bytes;
#endif
void (*entry_point)();

#if defined(EMU_UCONTEXT)
void swap_context(Fiber *from, Fiber *to) { swapcontext(&from->context, &to->context); }

void set_start(Fiber *f)
{
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = f->stack_bytes;
    f->context.uc_link = nullptr;
    makecontext(&f->context, entry_point, 0);
}
#else
// Saves what the System V ABI lets a callee keep, and takes up the other stack. Rounding modes are the same everywhere.
extern "C" void emu_swap(void **save, void *load);
asm(R"(
.text
.type emu_swap,@function
emu_swap:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp,(%rdi)
    mov %rsi,%rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
.size emu_swap,.-emu_swap
)");

void swap_context(Fiber *from, Fiber *to) { emu_swap(&from->sp, to->sp); }

void set_start(Fiber *f)
{
    void **sp = reinterpret_cast<void **>(f->stack + f->stack_bytes) -
                2; // entry finds the stack aligned as after a call
    *sp = reinterpret_cast<void *>(entry_point);
    f->sp = sp - 6;
}
#endif

void make(Fiber *f, uint8_t *stack, size_t bytes)
{
    mprotect(stack, 4096, PROT_NONE); // an overflow is a fault
    f->stack = stack + 4096;
    f->stack_bytes = bytes - 4096;
    f->fresh = true;
#if defined(EMU_TSAN)
    f->tsan = __tsan_create_fiber(0);
#endif
}

} // namespace

Fiber *main_fiber() { return &main_context; }

Fiber *fibers(uint32_t n, void (*entry)())
{
    static uint8_t *stacks;
    const size_t bytes = config().stack_bytes;
    entry_point = entry;
    if (!all) {
        all = static_cast<Fiber *>(calloc(MAX_THREADS, sizeof(Fiber)));
        void *p = mmap(nullptr, bytes * MAX_THREADS, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (!all || p == MAP_FAILED) {
            perror("emu: no memory for stacks");
            _exit(EXIT_STATUS);
        }
        stacks = static_cast<uint8_t *>(p);
    }
    for (; n_made < n; n_made++) make(&all[n_made], stacks + n_made * bytes, bytes);
    for (uint32_t i = 0; i < n; i++)
        if (all[i].fresh) set_start(&all[i]), all[i].fresh = false;
#if defined(EMU_TSAN)
    main_context.tsan = __tsan_get_current_fiber();
#endif
    return all;
}

void fiber_started()
{
#if defined(EMU_ASAN)
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(arriving->asan_fake, &bottom, &bytes);
    if (leaving == &main_context) main_bottom = bottom, main_bytes = bytes; // known only after leaving it
#endif
}

void fiber_switch(Fiber *from, Fiber *to)
{
    if (from == to) return;
    self = to;
    leaving = from, arriving = to;
#if defined(EMU_ASAN)
    const bool to_main = to == &main_context;
    __sanitizer_start_switch_fiber(&from->asan_fake, to_main ? main_bottom : to->stack,
                                   to_main ? main_bytes : to->stack_bytes);
#endif
#if defined(EMU_TSAN)
    __tsan_switch_to_fiber(to->tsan, 1); // 1: the switch itself orders nothing
#endif
    swap_context(from, to);
    fiber_started();
}

void fiber_abandon(Fiber *f)
{
    f->fresh = true;
#if defined(EMU_ASAN)
    __asan_unpoison_memory_region(f->stack, f->stack_bytes);
    f->asan_fake = nullptr;
#endif
#if defined(EMU_TSAN)
    __tsan_destroy_fiber(f->tsan);
    f->tsan = __tsan_create_fiber(0);
#endif
}

#if defined(EMU_TSAN)
void order_release(void *token) { __tsan_release(token); }
void order_acquire(void *token) { __tsan_acquire(token); }
#else
void order_release(void *) {}
void order_acquire(void *) {}
#endif

} // namespace emu

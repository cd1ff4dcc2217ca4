/* SPDX-License-Identifier: MIT
 * Device memory: who owns which address. Fresh memory is all ones (NaN in every format); freed memory is not reused
 * before 256 MiB more were freed, so that its users are caught. */
#ifndef EMU_DEVICE_H
#define EMU_DEVICE_H

#include <string>

#include "thread.h"

namespace emu
{

enum Kind { DEVICE, HOST, MANAGED, REGISTERED, VARIABLE };

struct Allocation {
    uint64_t addr, bytes;
    Kind kind;
    bool live;
    uint64_t number; /* in the order of the calls */
};

void device_init();
uint64_t device_alloc(uint64_t bytes, Kind kind, bool live = true); /* 0: no memory left */
void device_set_live(uint64_t addr, bool live);                     /* stream ordered allocation: when its turn comes */
bool device_free(uint64_t addr);                                    /* false: not the start of a live allocation */
void device_forget();                                               /* frees what was allocated, pinned memory too */
void host_register(void *p, uint64_t bytes, Kind kind);
bool host_unregister(const void *p, Kind kind);

/* The live allocation that holds an address, of the device or of the host as CUDA knows it; null: none. */
const Allocation *device_find(uint64_t addr);
const Allocation *host_find(uint64_t addr);
/* "16 bytes after the end of allocation 3 (4096 bytes)" */
std::string device_describe(uint64_t addr);

/* Where host code of the emulator reaches bytes of either side. Ends the program if they are not all there. */
uint8_t *reach(const void *p, uint64_t bytes, const char *who);
bool is_device_address(const void *p);

uint64_t device_bytes_used();
void for_each_live(void (*f)(const Allocation &));

} // namespace emu

#endif

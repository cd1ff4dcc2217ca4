# SPDX-License-Identifier: MIT
"""How many blocks of a kernel a multiprocessor holds at once. CUDA C++ Programming Guide, table "Technical Specifications per
Compute Capability"; rounding as in cuda_occupancy.h of CUDA's toolkit."""
import re

KIB = 1024
WARP = 32
REGISTERS = 65536  # of a multiprocessor,
PARTITIONS = 4  # a quarter in each
REGISTER_STEP = 256  # in which a warp gets them
SHARED_STEP = 128  # bytes
SHARED_RESERVED = KIB  # that the system takes for each block

# threads, blocks, shared memory of a multiprocessor
LIMITS = {
    80: (2048, 32, 164 * KIB),
    86: (1536, 16, 100 * KIB),
    89: (1536, 24, 100 * KIB),
    90: (2048, 32, 228 * KIB),
    100: (2048, 32, 228 * KIB),
    120: (1536, 24, 100 * KIB),
}


def round_up(n, step):
    return -(-n // step) * step


def blocks(arch, threads, registers, shared):
    """shared: bytes of a block, static and dynamic. arch: as in "90" or "90a"."""
    most_threads, most_blocks, all_shared = LIMITS[int(re.match(r"\d+", arch)[0])]
    warps = -(-threads // WARP)
    of_warp = max(round_up(registers * WARP, REGISTER_STEP), REGISTER_STEP)
    return min(most_blocks, most_threads // (warps * WARP), REGISTERS // PARTITIONS // of_warp * PARTITIONS // warps,
               all_shared // round_up(shared + SHARED_RESERVED, SHARED_STEP))

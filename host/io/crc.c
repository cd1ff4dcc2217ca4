/* SPDX-License-Identifier: MIT
 * CRC-32 by zlib. */
#include "host/io/crc.h"

#include <limits.h>

#include <zlib.h>

uint32_t dd_crc32(uint32_t crc, const void *data, size_t n)
{
    const unsigned char *p = data;
    while (n > 0) { /* zlib counts in unsigned int */
        const uInt part = n < INT_MAX ? (uInt)n : INT_MAX;
        crc = (uint32_t)crc32(crc, p, part);
        p += part;
        n -= part;
    }
    return crc;
}

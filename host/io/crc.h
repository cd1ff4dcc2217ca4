/* SPDX-License-Identifier: MIT
 * CRC-32 as in zip and PNG, over any number of bytes. Start from 0. */
#ifndef DD_HOST_IO_CRC_H
#define DD_HOST_IO_CRC_H

#include <stddef.h>
#include <stdint.h>

uint32_t dd_crc32(uint32_t crc, const void *data, size_t n);

#endif

/* SPDX-License-Identifier: MIT
 * SHA-256 (FIPS 180-4), for telling files apart. */
#ifndef DD_HOST_BASE_SHA256_H
#define DD_HOST_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define DD_SHA256_TEXT 65 /* 64 hexadecimal digits and a NUL */

typedef struct dd_sha256 {
    uint32_t h[8];
    uint64_t bytes; /* so far */
    unsigned char block[64];
} dd_sha256;

void dd_sha256_init(dd_sha256 *s);
void dd_sha256_add(dd_sha256 *s, const void *data, size_t n);
/* Ends the message; s is of no use afterwards. */
void dd_sha256_text(dd_sha256 *s, char text[DD_SHA256_TEXT]);

#endif

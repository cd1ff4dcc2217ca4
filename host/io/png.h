/* SPDX-License-Identifier: MIT
 * PNG pictures through libpng. 8 bits a channel, 1 (gray) or 3 (RGB) channels, text chunks, no time stamp: same
 * input, same bytes. */
#ifndef DD_HOST_IO_PNG_H
#define DD_HOST_IO_PNG_H

#include <stdint.h>

#include "host/base/status.h"

typedef struct dd_png_text {
    const char *key;   /* 1-79 Latin-1 characters */
    const char *value; /* UTF-8; written as tEXt if ASCII, else iTXt */
} dd_png_text;

/* pixels [h,w,channels]. */
dd_status dd_png_write(const char *path, const uint8_t *pixels, int w, int h, int channels, const dd_png_text *text,
                       int n_text, dd_err *err);

#endif

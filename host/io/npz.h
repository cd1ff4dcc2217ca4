/* SPDX-License-Identifier: MIT
 * The bytes of an evaluation set around its pictures: a zip with one stored member `arr_0.npy`, uint8 [N,H,W,3] in C order,
 * as numpy.savez writes it and ADM's evaluator reads it. The number of pictures is known before the first one, so every
 * offset is. Sizes are always in ZIP64 records (APPNOTE.TXT 4.3 and 4.5.3): one layout, whatever the size. No time stamps:
 * same pictures, same bytes. */
#ifndef DD_HOST_IO_NPZ_H
#define DD_HOST_IO_NPZ_H

#include <stdint.h>

#include "host/base/status.h"

#define DD_NPZ_MAX_SIDE 65536
#define DD_NPZ_MAX_IMAGES (1 << 30)

typedef struct dd_npz_shape {
    int64_t n;
    int height, width;
} dd_npz_shape;

/* Local header 30, name 9, ZIP64 field 20; the npy header behind it fills up to a multiple of 64 bytes. */
#define DD_NPZ_ZIP_HEAD 59
#define DD_NPZ_NPY_HEAD 128
#define DD_NPZ_HEAD (DD_NPZ_ZIP_HEAD + DD_NPZ_NPY_HEAD)
/* Central entry 46 + 9 + 20, ZIP64 end record 56 with its locator 20, end record 22. */
#define DD_NPZ_TAIL 173

/* ERR_ARG where no such set can be: sides 1 to DD_NPZ_MAX_SIDE, images 1 to DD_NPZ_MAX_IMAGES. */
dd_status dd_npz_check(const dd_npz_shape *s, const char *what, dd_err *err);

uint64_t dd_npz_image_bytes(const dd_npz_shape *s);
/* Offset of image i in the file; i = n: of what stands behind the last one. */
uint64_t dd_npz_offset(const dd_npz_shape *s, int64_t i);
uint64_t dd_npz_file_bytes(const dd_npz_shape *s);

/* crc: CRC-32 of the member, which is the npy header and all pictures. */
void dd_npz_head(const dd_npz_shape *s, uint32_t crc, uint8_t head[DD_NPZ_HEAD]);
void dd_npz_tail(const dd_npz_shape *s, uint32_t crc, uint8_t tail[DD_NPZ_TAIL]);

/* CRC-32 of the npy header, to which that of the pictures is added (crc.h). */
uint32_t dd_npz_crc_begin(const dd_npz_shape *s);

#endif

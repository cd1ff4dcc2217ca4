/* SPDX-License-Identifier: MIT
 * Headers of the zip and of the array in it. All numbers of a zip are little-endian. */
#include "host/io/npz.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/io/crc.h"

#define MEMBER "arr_0.npy"
#define VERSION_ZIP64 45 /* 4.5 of the specification; the upper byte 3, made by: Unix */
#define VERSION_MADE_BY (3 << 8 | VERSION_ZIP64)
#define STORED 0
#define DATE_1980_01_01 0x0021
#define FIELD_ZIP64 0x0001
#define IN_ZIP64_32 UINT32_MAX
#define MODE_0600 (0100600u << 16) /* as Python's zipfile gives members that it writes as streams */
#define NPY_PREFIX 10              /* magic, version, length of the text */

static uint8_t *put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    return p + 2;
}

static uint8_t *put32(uint8_t *p, uint32_t v) { return put16(put16(p, v & 0xffff), v >> 16); }

static uint8_t *put64(uint8_t *p, uint64_t v) { return put32(put32(p, (uint32_t)v), (uint32_t)(v >> 32)); }

static uint8_t *put_bytes(uint8_t *p, const void *data, size_t n)
{
    memcpy(p, data, n);
    return p + n;
}

dd_status dd_npz_check(const dd_npz_shape *s, const char *what, dd_err *err)
{
    if (s->height < 1 || s->width < 1 || s->height > DD_NPZ_MAX_SIDE || s->width > DD_NPZ_MAX_SIDE)
        return DD_FAIL(err, DD_ERR_ARG, "%s: pictures of %d x %d pixels, expected sides of 1 to %d", what, s->width,
                       s->height, DD_NPZ_MAX_SIDE);
    if (s->n < 1 || s->n > DD_NPZ_MAX_IMAGES)
        return DD_FAIL(err, DD_ERR_ARG, "%s: %lld pictures, expected 1 to %d", what, (long long)s->n,
                       DD_NPZ_MAX_IMAGES);
    /* 2^30 pictures of 2^32 pixels would pass the 2^63 bytes that a file can have */
    if (dd_npz_image_bytes(s) > INT64_MAX / 2 / (uint64_t)s->n)
        return DD_FAIL(err, DD_ERR_ARG, "%s: %lld pictures of %d x %d pixels are more than a file can hold", what,
                       (long long)s->n, s->width, s->height);
    return DD_OK;
}

uint64_t dd_npz_image_bytes(const dd_npz_shape *s) { return (uint64_t)s->height * (uint64_t)s->width * 3; }

uint64_t dd_npz_offset(const dd_npz_shape *s, int64_t i) { return DD_NPZ_HEAD + (uint64_t)i * dd_npz_image_bytes(s); }

uint64_t dd_npz_file_bytes(const dd_npz_shape *s) { return dd_npz_offset(s, s->n) + DD_NPZ_TAIL; }

static uint64_t member_bytes(const dd_npz_shape *s) { return dd_npz_offset(s, s->n) - DD_NPZ_ZIP_HEAD; }

/* Format 1.0 of numpy.lib.format: the text is padded with blanks and ends with a newline. */
static void npy_head(const dd_npz_shape *s, uint8_t head[DD_NPZ_NPY_HEAD])
{
    char text[DD_NPZ_NPY_HEAD];
    const int n = snprintf(text, sizeof text,
                           "{'descr': '|u1', 'fortran_order': False, 'shape': (%" PRId64 ", %d, %d, 3), }", s->n,
                           s->height, s->width);
    assert(n > 0 && n < DD_NPZ_NPY_HEAD - NPY_PREFIX);
    uint8_t *p = put_bytes(head, "\x93NUMPY\x01\x00", 8);
    p = put16(p, DD_NPZ_NPY_HEAD - NPY_PREFIX);
    memset(p, ' ', DD_NPZ_NPY_HEAD - NPY_PREFIX);
    memcpy(p, text, (size_t)n);
    head[DD_NPZ_NPY_HEAD - 1] = '\n';
}

/* What the local and the central header have in common, from the version needed to the length of the name. */
static uint8_t *put_member(uint8_t *p, uint32_t crc)
{
    p = put16(p, VERSION_ZIP64);
    p = put16(p, 0); /* flags */
    p = put16(p, STORED);
    p = put16(p, 0); /* time of day */
    p = put16(p, DATE_1980_01_01);
    p = put32(p, crc);
    p = put32(p, IN_ZIP64_32);
    p = put32(p, IN_ZIP64_32);
    return put16(p, sizeof MEMBER - 1);
}

static uint8_t *put_zip64_field(uint8_t *p, const dd_npz_shape *s)
{
    p = put16(p, FIELD_ZIP64);
    p = put16(p, 16);
    p = put64(p, member_bytes(s));
    return put64(p, member_bytes(s)); /* compressed: the same */
}

void dd_npz_head(const dd_npz_shape *s, uint32_t crc, uint8_t head[DD_NPZ_HEAD])
{
    uint8_t *p = put_bytes(head, "PK\x03\x04", 4);
    p = put_member(p, crc);
    p = put16(p, 20); /* bytes of the ZIP64 field */
    p = put_bytes(p, MEMBER, sizeof MEMBER - 1);
    p = put_zip64_field(p, s);
    assert(p == head + DD_NPZ_ZIP_HEAD);
    npy_head(s, p);
}

static uint8_t *put_central(uint8_t *p, const dd_npz_shape *s, uint32_t crc)
{
    p = put_bytes(p, "PK\x01\x02", 4);
    p = put16(p, VERSION_MADE_BY);
    p = put_member(p, crc);
    p = put16(p, 20); /* bytes of the ZIP64 field */
    p = put16(p, 0);  /* comment */
    p = put16(p, 0);  /* disk */
    p = put16(p, 0);  /* internal attributes */
    p = put32(p, MODE_0600);
    p = put32(p, 0); /* offset of the local header */
    p = put_bytes(p, MEMBER, sizeof MEMBER - 1);
    return put_zip64_field(p, s);
}

void dd_npz_tail(const dd_npz_shape *s, uint32_t crc, uint8_t tail[DD_NPZ_TAIL])
{
    const uint64_t at = dd_npz_offset(s, s->n);
    uint8_t *p = put_central(tail, s, crc);
    const uint32_t central = (uint32_t)(p - tail);
    p = put_bytes(p, "PK\x06\x06", 4);
    p = put64(p, 44); /* bytes of this record behind this field */
    p = put16(p, VERSION_MADE_BY);
    p = put16(p, VERSION_ZIP64);
    p = put32(p, 0); /* disk */
    p = put32(p, 0); /* disk of the directory */
    p = put64(p, 1); /* entries on this disk */
    p = put64(p, 1); /* entries */
    p = put64(p, central);
    p = put64(p, at);
    p = put_bytes(p, "PK\x06\x07", 4);
    p = put32(p, 0); /* disk of the ZIP64 end record */
    p = put64(p, at + central);
    p = put32(p, 1); /* disks */
    p = put_bytes(p, "PK\x05\x06", 4);
    p = put32(p, 0); /* disk, disk of the directory */
    p = put16(p, 1); /* entries on this disk */
    p = put16(p, 1); /* entries */
    p = put32(p, central);
    p = put32(p, IN_ZIP64_32); /* offset of the directory */
    p = put16(p, 0);           /* comment */
    assert(p == tail + DD_NPZ_TAIL);
    (void)p;
}

uint32_t dd_npz_crc_begin(const dd_npz_shape *s)
{
    uint8_t head[DD_NPZ_NPY_HEAD];
    npy_head(s, head);
    return dd_crc32(0, head, sizeof head);
}

/* SPDX-License-Identifier: MIT
 * Fuzz target of the reader of torch.save files: zip archive, pickle, tensors. Whatever the bytes, it must neither crash
 * nor accept a file whose tensors leave its members. */
#define _GNU_SOURCE /* memfd_create */
#define FUZZ_NAME "fuzz_torch_file"
#define FUZZ_TOKENS 26
#define FUZZ_SMALLEST 22
#include "tests/fuzz/fuzz_tensors.h"

#include "host/io/torch_file.h"

static dd_status open_input(dd_tensors **out, const char *path, dd_err *err)
{
    return dd_torch_open(out, path, DD_WHICH_AUTO, err);
}

/* Tensors may share a storage: the reader allows four times the file; its division rounds by up to 3 bytes. */
static size_t bytes_at_most(size_t size) { return 4 * size + 4; }

#ifdef DD_FUZZ_MAIN

static const char smallest[] = "PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/* Signatures, sizes, and opcodes with operands. */
static const fuzz_token tokens[] = {
    FUZZ_TOKEN("PK\1\2"),
    FUZZ_TOKEN("PK\3\4"),
    FUZZ_TOKEN("PK\5\6"),
    FUZZ_TOKEN("PK\6\6"),
    FUZZ_TOKEN("PK\6\7"),
    FUZZ_TOKEN("\xff\xff\xff\xff"),
    FUZZ_TOKEN("\0\0\0\0"),
    FUZZ_TOKEN("\xff\xff\xff\x7f"),
    FUZZ_TOKEN("\1\0\x10\0"),
    FUZZ_TOKEN("../"),
    FUZZ_TOKEN("/"),
    FUZZ_TOKEN("("),
    FUZZ_TOKEN("t"),
    FUZZ_TOKEN("R"),
    FUZZ_TOKEN("h\1"),
    FUZZ_TOKEN("q\1"),
    FUZZ_TOKEN("}"),
    FUZZ_TOKEN("]"),
    FUZZ_TOKEN("u"),
    FUZZ_TOKEN("\x85"),
    FUZZ_TOKEN("\x8a\x8"),
    FUZZ_TOKEN("J\xff\xff\xff\xff"),
    FUZZ_TOKEN("cposix\nsystem\n"),
    FUZZ_TOKEN("Q"),
    FUZZ_TOKEN("module."),
    FUZZ_TOKEN("."),
};

static void store(uint8_t *p, size_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (8 * i));
}

/* Nearly every change of length moves the directory, and with it all that is checked first: its place is told anew. What
 * lies before its first entry is left as it is, so that changes that keep the length reach the pickle. */
static size_t repair(uint8_t *buf, size_t size)
{
    size_t dir = size, end = size;
    for (size_t i = 0; i + 4 <= size; i++) {
        if (dir == size && memcmp(buf + i, "PK\1\2", 4) == 0) dir = i;
        if (memcmp(buf + i, "PK\5\6", 4) == 0 && i + 22 <= size) end = i;
    }
    if (end == size || dir > end) return size;
    store(buf + end + 12, end - dir);
    store(buf + end + 16, dir);
    buf[end + 20] = buf[end + 21] = 0;
    return end + 22;
}

#endif

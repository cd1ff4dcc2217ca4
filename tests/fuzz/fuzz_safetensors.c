/* SPDX-License-Identifier: MIT
 * Fuzz target of the safetensors reader. Whatever the bytes, it must neither crash nor accept a file whose tensors
 * leave the data section. */
#define _GNU_SOURCE /* memfd_create */
#define FUZZ_NAME "fuzz_safetensors"
#define FUZZ_TOKENS 22
#define FUZZ_SMALLEST 10
#include "tests/fuzz/fuzz_tensors.h"

#include "host/io/safetensors.h"

static dd_status open_input(dd_tensors **out, const char *path, dd_err *err)
{
    return dd_safetensors_open(out, path, err);
}

static size_t bytes_at_most(size_t size) { return size - 8; }

#ifdef DD_FUZZ_MAIN

static const char smallest[] = "\x02\0\0\0\0\0\0\0{}";

static const fuzz_token tokens[] = {FUZZ_TOKEN("{"),
                                    FUZZ_TOKEN("}"),
                                    FUZZ_TOKEN("["),
                                    FUZZ_TOKEN("]"),
                                    FUZZ_TOKEN(","),
                                    FUZZ_TOKEN(":"),
                                    FUZZ_TOKEN("\""),
                                    FUZZ_TOKEN("\\"),
                                    FUZZ_TOKEN("0"),
                                    FUZZ_TOKEN("-1"),
                                    FUZZ_TOKEN("1.5"),
                                    FUZZ_TOKEN("9223372036854775807"),
                                    FUZZ_TOKEN("18446744073709551615"),
                                    FUZZ_TOKEN("null"),
                                    FUZZ_TOKEN("\"F4\""),
                                    FUZZ_TOKEN("\"U8\""),
                                    FUZZ_TOKEN("\"BF16\""),
                                    FUZZ_TOKEN("\"__metadata__\""),
                                    FUZZ_TOKEN("\\u0000"),
                                    FUZZ_TOKEN("[[[[[[[["),
                                    FUZZ_TOKEN("\xff"),
                                    FUZZ_TOKEN(" ")};

/* Most changes move the end of the header; without this nearly all inputs would fail at the first check. */
static size_t repair(uint8_t *buf, size_t size)
{
    if (size < 8) return size;
    size_t end = 8;
    for (size_t i = 8; i < size; i++)
        if (buf[i] == '}') end = i + 1;
    const size_t n = end - 8;
    for (int i = 0; i < 8; i++) buf[i] = (uint8_t)((uint64_t)n >> (8 * i));
    return size;
}

#endif

/* SPDX-License-Identifier: MIT
 * Fuzz targets of readers of one file of tensors. The including file is one such target: beside what fuzz_driver.h asks for
 * it defines open_input and bytes_at_most after. */
#ifndef DD_TESTS_FUZZ_TENSORS_H
#define DD_TESTS_FUZZ_TENSORS_H

#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz_use.h"

static dd_status open_input(dd_tensors **out, const char *path, dd_err *err);
static size_t bytes_at_most(size_t size); /* of all tensors of a file of this size */

static void use_file(const dd_tensors *f, size_t size)
{
    require(dd_tensors_bytes(f) == size, "size of the file");
    require(use_tensors(f) <= bytes_at_most(size), "the tensors fit the file");
    for (int i = 0; i < dd_tensors_meta_count(f); i++) {
        const char *key, *value;
        dd_tensors_meta_at(f, i, &key, &value);
        require(key && dd_tensors_meta(f, key) == value, "metadata is found by its key");
    }
}

static bool run_one(const uint8_t *data, size_t size)
{
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);
    require(fd >= 0, "memfd_create");
    for (size_t done = 0; done < size;) {
        const ssize_t n = write(fd, data + done, size - done);
        require(n > 0, "write to memory");
        done += (size_t)n;
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    dd_err err = {0};
    dd_tensors *f = NULL;
    const dd_status st = open_input(&f, path, &err);
    close(fd); /* the mapping stays */
    use_result(st, f, &err, path);
    if (f) use_file(f, size);
    dd_tensors_close(&f);
    return st == DD_OK;
}

#endif

/* SPDX-License-Identifier: MIT
 * The file behind a set of tensors: mapped for reading, so that tensors are used in place. Out of scope: a file that
 * another process shortens while it is mapped (reading it raises SIGBUS). */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/sizes.h"
#include "host/io/tensors_internal.h"

static dd_status map_open_file(dd_tensors *f, int fd, const char *what, dd_err *err)
{
    struct stat info;
    if (fstat(fd, &info) != 0) return DD_FAIL(err, DD_ERR_IO, "%s cannot be examined: %s", f->path, strerror(errno));
    if (S_ISDIR(info.st_mode)) return DD_FAIL(err, DD_ERR_IO, "%s is a folder, not a %s", f->path, what);
    if (!S_ISREG(info.st_mode))
        return DD_FAIL(err, DD_ERR_IO, "%s is a device or a pipe; a %s must be a regular file", f->path, what);
    if (info.st_size == 0) return DD_FAIL(err, DD_ERR_FORMAT, "%s is empty", f->path);
    if ((uintmax_t)info.st_size > PTRDIFF_MAX)
        return DD_FAIL(err, DD_ERR_NOMEM, "%s is too large to be mapped", f->path);
    void *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) return DD_FAIL(err, DD_ERR_IO, "%s cannot be mapped: %s", f->path, strerror(errno));
    f->map = map;
    f->bytes = (size_t)info.st_size;
    return DD_OK;
}

static dd_status map_file(dd_tensors *f, const char *what, dd_err *err)
{
    /* O_NONBLOCK: opening a pipe must not wait for its other end. */
    const int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return DD_FAIL(err, DD_ERR_NOT_FOUND, "%s does not exist", f->path);
    if (fd < 0) return DD_FAIL(err, DD_ERR_IO, "%s cannot be opened: %s", f->path, strerror(errno));
    const dd_status st = map_open_file(f, fd, what, err);
    close(fd);
    return st;
}

dd_status dd_tensors_begin(dd_tensors **out, const char *path, dd_err *err)
{
    *out = NULL;
    dd_tensors *f = calloc(1, sizeof *f);
    if (f) f->path = malloc(strlen(path) + 1);
    if (!f || !f->path) {
        free(f);
        return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", path);
    }
    memcpy(f->path, path, strlen(path) + 1);
    f->format = f->part = "";
    *out = f;
    return DD_OK;
}

dd_status dd_tensors_map(dd_tensors **out, const char *path, const char *what, dd_err *err)
{
    *out = NULL;
    if (!path || !*path) return DD_FAIL(err, DD_ERR_ARG, "the name of the %s is empty", what);
    DD_TRY(dd_tensors_begin(out, path, err));
    const dd_status st = map_file(*out, what, err);
    if (st != DD_OK) dd_tensors_close(out);
    return st;
}

void *dd_tensors_own(dd_tensors *f, size_t bytes)
{
    size_t all;
    if (!dd_add_size(sizeof(dd_owned), bytes, &all) || !dd_align_size(all, alignof(dd_owned), &all)) return NULL;
    dd_owned *block = aligned_alloc(alignof(dd_owned), all);
    if (!block) return NULL;
    memset(block, 0, all);
    block->next = f->owned;
    f->owned = block;
    return block->data;
}

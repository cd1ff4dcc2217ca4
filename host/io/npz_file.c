/* SPDX-License-Identifier: MIT
 * The growing file and its state. */
#define _DEFAULT_SOURCE /* flock: a lock of the open file, gone with the process whatever ends it */
#define _POSIX_C_SOURCE 200809L
#include "host/io/npz_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "host/base/str.h"
#include "host/io/crc.h"
#include "host/io/npz_state.h"

#define BLOCK (1 << 20) /* bytes read at a time when counted pictures are checked */

struct dd_npz_file {
    char *path, *partial, *state;
    dd_npz_shape shape;
    json_t *settings;
    int fd;     /* of partial, locked; -1: not open */
    bool begun; /* partial and state are ours: without pictures they are removed */
    int64_t done;
    uint32_t crc;
};

static dd_status system_failed(const char *path, const char *what, dd_err *err)
{
    return DD_FAIL(err, DD_ERR_IO, "%s could not be %s: %s", path, what, strerror(errno));
}

static dd_status new_file(dd_npz_file **out, const dd_npz_begin *b, dd_err *err)
{
    dd_str partial = {0}, state = {0}, path = {0};
    dd_npz_file *f = *out = calloc(1, sizeof *f);
    if (!f) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", b->path);
    f->fd = -1;
    f->shape = b->shape;
    dd_str_add(&path, b->path);
    dd_str_addf(&partial, "%s.partial", b->path);
    dd_str_addf(&state, "%s.state", b->path);
    dd_status st = dd_str_take(&path, &f->path, err);
    if (st == DD_OK) st = dd_str_take(&partial, &f->partial, err);
    if (st == DD_OK) st = dd_str_take(&state, &f->state, err);
    dd_str_free(&partial);
    dd_str_free(&state);
    DD_TRY(st);
    f->settings = json_deep_copy(b->settings);
    if (!f->settings) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", b->path);
    return DD_OK;
}

/* Also false where another run has given the file its final name between our open and our lock. */
static bool lock(const dd_npz_file *f, struct stat *open_file)
{
    struct stat named;
    if (flock(f->fd, LOCK_EX | LOCK_NB) != 0 || fstat(f->fd, open_file) != 0) return false;
    return stat(f->partial, &named) == 0 && named.st_ino == open_file->st_ino && named.st_dev == open_file->st_dev;
}

static dd_status check_space(const dd_npz_file *f, int64_t there, dd_err *err)
{
    struct statvfs fs;
    const uint64_t whole = dd_npz_file_bytes(&f->shape),
                   wanted = whole - ((uint64_t)there < whole ? (uint64_t)there : whole);
    if (fstatvfs(f->fd, &fs) != 0 || fs.f_blocks == 0 || (uint64_t)fs.f_bavail >= wanted / fs.f_frsize) return DD_OK;
    return DD_FAIL(err, DD_ERR_IO, "%s: the set needs %llu bytes more, its file system has %llu", f->path,
                   (unsigned long long)wanted, (unsigned long long)fs.f_bavail * fs.f_frsize);
}

static dd_status write_state(const dd_npz_file *f, int64_t done, uint32_t crc, dd_err *err)
{
    const dd_npz_state s = {done, crc, f->settings};
    return dd_npz_state_write(f->state, &s, err);
}

/* Reads the counted pictures. */
static dd_status check_pictures(const dd_npz_file *f, uint32_t wanted, dd_err *err)
{
    const uint64_t end = dd_npz_offset(&f->shape, f->done);
    uint32_t crc = dd_npz_crc_begin(&f->shape);
    uint8_t *block = malloc(BLOCK);
    dd_status st = block ? DD_OK : DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", f->partial);
    for (uint64_t at = DD_NPZ_HEAD; st == DD_OK && at < end;) {
        const uint64_t left = end - at;
        const ssize_t n = pread(f->fd, block, left < BLOCK ? (size_t)left : BLOCK, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) st = system_failed(f->partial, "read", err);
        else if (n == 0)
            st = DD_FAIL(err, DD_ERR_FORMAT, "%s ends before the %lld pictures that %s counts", f->partial,
                         (long long)f->done, f->state);
        else crc = dd_crc32(crc, block, (size_t)n);
        at += n > 0 ? (uint64_t)n : 0;
    }
    free(block);
    if (st == DD_OK && crc != wanted)
        st = DD_FAIL(err, DD_ERR_FORMAT, "%s has changed since %s was written: the CRC-32 of its %lld pictures differs",
                     f->partial, f->state, (long long)f->done);
    return st;
}

static dd_status go_on(dd_npz_file *f, dd_err *err)
{
    json_t *doc = NULL;
    dd_npz_state s;
    dd_status st = dd_npz_state_read(f->state, f->shape.n, &doc, &s, err);
    if (st == DD_OK) st = dd_npz_same_settings(s.settings, f->settings, f->state, err);
    if (st == DD_OK) {
        f->done = s.done;
        f->crc = s.crc;
        st = check_pictures(f, s.crc, err);
    }
    json_decref(doc);
    return st;
}

static dd_status open_locked(dd_npz_file *f, const dd_npz_begin *b, dd_err *err)
{
    struct stat there;
    const bool has_state = access(f->state, F_OK) == 0;
    if (b->resume && has_state && access(f->partial, F_OK) != 0)
        return DD_FAIL(err, DD_ERR_NOT_FOUND, "%s cannot be resumed: %s is not there", f->state, f->partial);
    f->fd = open(f->partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (f->fd < 0) return system_failed(f->partial, "opened", err);
    if (flock(f->fd, LOCK_EX | LOCK_NB) != 0 && errno != EWOULDBLOCK) return system_failed(f->partial, "locked", err);
    if (!lock(f, &there)) return DD_FAIL(err, DD_ERR_IO, "%s: another run is writing this set", f->path);
    if (there.st_size > 0 && !b->resume)
        return DD_FAIL(err, DD_ERR_ARG, "%s is left of a run that was stopped: resume it, or remove it and %s",
                       f->partial, f->state);
    if (there.st_size > 0 && !has_state)
        return DD_FAIL(err, DD_ERR_NOT_FOUND, "%s cannot be resumed: %s is not there", f->partial, f->state);
    const bool resumed = b->resume && has_state;
    f->begun = !resumed; /* a file that was just made is removed if something fails from here on */
    DD_TRY(resumed ? go_on(f, err) : write_state(f, 0, f->crc, err));
    f->begun = true;
    return check_space(f, there.st_blocks * 512, err); /* st_blocks counts 512 bytes, whatever the file system */
}

dd_status dd_npz_file_open(dd_npz_file **out, const dd_npz_begin *b, dd_err *err)
{
    *out = NULL;
    DD_TRY(dd_npz_check(&b->shape, b->path, err));
    dd_status st = new_file(out, b, err);
    if (st == DD_OK) {
        (*out)->crc = dd_npz_crc_begin(&b->shape);
        st = open_locked(*out, b, err);
    }
    if (st != DD_OK) dd_npz_file_close(out);
    return st;
}

int64_t dd_npz_file_done(const dd_npz_file *f) { return f->done; }

uint32_t dd_npz_file_crc(const dd_npz_file *f) { return f->crc; }

static dd_status write_at(const dd_npz_file *f, uint64_t at, const uint8_t *data, uint64_t bytes, dd_err *err)
{
    while (bytes > 0) {
        const ssize_t n = pwrite(f->fd, data, bytes < BLOCK ? (size_t)bytes : BLOCK, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return system_failed(f->partial, "written", err);
        data += n;
        at += (uint64_t)n;
        bytes -= (uint64_t)n;
    }
    return DD_OK;
}

static dd_status sync_file(const dd_npz_file *f, dd_err *err)
{
    if (fsync(f->fd) == 0 || errno == EINVAL || errno == ENOTSUP) return DD_OK;
    return system_failed(f->partial, "written", err);
}

dd_status dd_npz_file_append(dd_npz_file *f, const uint8_t *pixels, int64_t count, dd_err *err)
{
    if (count < 0 || count > f->shape.n - f->done)
        return DD_FAIL(err, DD_ERR_ARG, "%s: %lld pictures more than its %lld", f->path,
                       (long long)(f->done + count - f->shape.n), (long long)f->shape.n);
    const uint64_t bytes = (uint64_t)count * dd_npz_image_bytes(&f->shape);
    DD_TRY(write_at(f, dd_npz_offset(&f->shape, f->done), pixels, bytes, err));
    DD_TRY(sync_file(f, err));
    const uint32_t crc = dd_crc32(f->crc, pixels, (size_t)bytes);
    DD_TRY(write_state(f, f->done + count, crc, err));
    f->done += count;
    f->crc = crc;
    return DD_OK;
}

dd_status dd_npz_file_commit(dd_npz_file *f, dd_err *err)
{
    uint8_t head[DD_NPZ_HEAD], tail[DD_NPZ_TAIL];
    if (f->done != f->shape.n)
        return DD_FAIL(err, DD_ERR_ARG, "%s: only %lld of its %lld pictures are there", f->path, (long long)f->done,
                       (long long)f->shape.n);
    dd_npz_head(&f->shape, f->crc, head);
    dd_npz_tail(&f->shape, f->crc, tail);
    DD_TRY(write_at(f, 0, head, sizeof head, err));
    DD_TRY(write_at(f, dd_npz_offset(&f->shape, f->done), tail, sizeof tail, err));
    if (ftruncate(f->fd, (off_t)dd_npz_file_bytes(&f->shape)) != 0) return system_failed(f->partial, "written", err);
    DD_TRY(sync_file(f, err));
    if (rename(f->partial, f->path) != 0) return system_failed(f->path, "put in place", err);
    (void)unlink(f->state);
    f->begun = false;
    return DD_OK;
}

void dd_npz_file_close(dd_npz_file **file)
{
    dd_npz_file *f = *file;
    if (!f) return;
    if (f->begun && f->done == 0) {
        (void)unlink(f->partial);
        (void)unlink(f->state);
    }
    if (f->fd >= 0) close(f->fd);
    json_decref(f->settings);
    free(f->path);
    free(f->partial);
    free(f->state);
    free(f);
    *file = NULL;
}

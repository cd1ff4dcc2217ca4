/* SPDX-License-Identifier: MIT
 * Whole-or-nothing output files. The caller of the library decides about SIGPIPE: ignored, a closed pipe is ERR_IO. */
#define _POSIX_C_SOURCE 200809L
#include "host/io/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/io/path.h"

#define MAX_LINKS 40 /* as the Linux kernel */

struct dd_outfile {
    FILE *stream;
    char *path;   /* as given, for messages */
    char *target; /* links followed; what rename replaces */
    char *temp;   /* NULL: writing directly */
    int error;    /* errno of the first failed dd_outfile_write */
};

/* Where the bytes will go. */
typedef struct place {
    char *target;
    bool direct, exists;
    mode_t mode; /* of the existing file */
} place;

static char *copy_text(const char *text, size_t n)
{
    char *s = malloc(n + 1);
    if (s) memcpy(s, text, n);
    if (s) s[n] = '\0';
    return s;
}

/* Names of open descriptors. They may lead to a regular file, which must not be replaced behind the shell's back. */
static bool names_descriptor(const char *path)
{
    return strncmp(path, "/dev/fd/", 8) == 0 || strncmp(path, "/proc/", 6) == 0 || strcmp(path, "/dev/stdout") == 0 ||
           strcmp(path, "/dev/stderr") == 0;
}

static dd_status out_of_memory(const char *path, dd_err *err)
{
    return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", path);
}

/* Replaces *target by what it links to, if it is a link. Only the last component matters: rename follows the others. */
static dd_status follow_link(char **target, const char *path, bool *is_link, dd_err *err)
{
    char text[PATH_MAX];
    const ssize_t n = readlink(*target, text, sizeof text);
    *is_link = n >= 0;
    if (n < 0) return DD_OK; /* no link, or not there: the checks that follow will say */
    if ((size_t)n == sizeof text) return DD_FAIL(err, DD_ERR_IO, "%s: symbolic link is too long", path);
    const size_t folder = text[0] == '/' ? 0 : dd_path_folder_length(*target);
    char *next = malloc(folder + (size_t)n + 1);
    if (!next) return out_of_memory(path, err);
    memcpy(next, *target, folder);
    memcpy(next + folder, text, (size_t)n);
    next[folder + (size_t)n] = '\0';
    free(*target);
    *target = next;
    return DD_OK;
}

static dd_status check_folder(const char *path, const char *target, dd_err *err)
{
    const size_t n = dd_path_folder_length(target);
    char *folder = n ? copy_text(target, n > 1 ? n - 1 : 1) : copy_text(".", 1);
    if (!folder) return out_of_memory(path, err);
    struct stat info;
    dd_status st = DD_OK;
    if (stat(folder, &info) != 0) st = DD_FAIL(err, DD_ERR_IO, "%s: folder %s: %s", path, folder, strerror(errno));
    else if (!S_ISDIR(info.st_mode)) st = DD_FAIL(err, DD_ERR_IO, "%s: %s is not a folder", path, folder);
    else if (access(folder, W_OK | X_OK) != 0)
        st = DD_FAIL(err, DD_ERR_IO, "%s: folder %s is not writable: %s", path, folder, strerror(errno));
    free(folder);
    return st;
}

static dd_status check_target(place *p, const char *path, dd_err *err)
{
    struct stat info;
    p->exists = stat(p->target, &info) == 0;
    if (p->exists && S_ISDIR(info.st_mode)) return DD_FAIL(err, DD_ERR_IO, "%s is a folder, not a file", path);
    p->direct = p->direct || (p->exists && !S_ISREG(info.st_mode));
    if (p->exists) p->mode = info.st_mode & 0777;
    /* Renaming would replace a read-only file without a question. */
    if (p->exists && access(p->target, W_OK) != 0)
        return DD_FAIL(err, DD_ERR_IO, "%s exists and is not writable: %s", path, strerror(errno));
    if (p->direct) return DD_OK; /* opening it will tell */
    if (p->target[dd_path_folder_length(p->target)] == '\0') return DD_FAIL(err, DD_ERR_IO, "%s names no file", path);
    return check_folder(path, p->target, err);
}

/* On success the caller frees p->target. */
static dd_status find_place(place *p, const char *path, dd_err *err)
{
    *p = (place){0};
    if (!path || !*path) return DD_FAIL(err, DD_ERR_ARG, "the name of the output file is empty");
    p->target = copy_text(path, strlen(path));
    if (!p->target) return out_of_memory(path, err);
    dd_status st = DD_OK;
    bool is_link = true;
    for (int i = 0; i <= MAX_LINKS && is_link && !p->direct && st == DD_OK; i++) {
        p->direct = names_descriptor(p->target);
        if (!p->direct) st = follow_link(&p->target, path, &is_link, err);
    }
    if (st == DD_OK && is_link && !p->direct) st = DD_FAIL(err, DD_ERR_IO, "%s: too many symbolic links", path);
    if (st == DD_OK) st = check_target(p, path, err);
    if (st == DD_OK) return DD_OK;
    free(p->target);
    p->target = NULL;
    return st;
}

/* Not mkstemp, which fixes the mode to 0600: with open() the kernel applies the umask, which cannot be read without
 * changing it under the feet of other threads. */
static int create_temp(dd_outfile *f, const char *target)
{
    int fd = -1;
    for (int attempt = 0; attempt < DD_PATH_TEMP_TRIES; attempt++) {
        free(f->temp);
        f->temp = dd_path_temp(target, f, attempt);
        if (!f->temp) return -1;
        fd = open(f->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST) break;
    }
    return fd;
}

static dd_status open_stream(dd_outfile *f, const place *p, dd_err *err)
{
    const int fd = p->direct ? open(p->target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)
                             : create_temp(f, p->target);
    if (fd < 0) {
        const int why = errno;
        free(f->temp); /* not created, so not to be unlinked */
        f->temp = NULL;
        return DD_FAIL(err, why == ENOMEM ? DD_ERR_NOMEM : DD_ERR_IO, "%s cannot be created: %s", f->path,
                       strerror(why));
    }
    if (!p->direct && p->exists) (void)fchmod(fd, p->mode); /* a replaced file keeps its permissions where possible */
    f->stream = fdopen(fd, "wb");
    if (f->stream) return DD_OK;
    close(fd);
    return out_of_memory(f->path, err);
}

dd_status dd_outfile_open(dd_outfile **out, const char *path, dd_err *err)
{
    *out = NULL;
    place p;
    DD_TRY(find_place(&p, path, err));
    dd_outfile *f = calloc(1, sizeof *f);
    char *copy = copy_text(path, strlen(path));
    if (!f || !copy) {
        free(copy);
        free(f);
        free(p.target);
        return out_of_memory(path, err);
    }
    f->path = copy;
    f->target = p.target;
    const dd_status st = open_stream(f, &p, err);
    if (st != DD_OK) dd_outfile_discard(&f);
    *out = f;
    return st;
}

FILE *dd_outfile_stream(dd_outfile *f) { return f->stream; }

static dd_status write_failed(const dd_outfile *f, int error, dd_err *err)
{
    return DD_FAIL(err, DD_ERR_IO, "%s could not be written: %s", f->path,
                   error ? strerror(error) : "an earlier write failed");
}

dd_status dd_outfile_write(dd_outfile *f, const void *data, size_t n, dd_err *err)
{
    if (n == 0 || fwrite(data, 1, n, f->stream) == n) return DD_OK;
    if (!f->error) f->error = errno;
    return write_failed(f, f->error, err);
}

/* Flushes and closes; 0 or the errno. A full disk may show only in fflush, fsync or close. */
static int finish_stream(dd_outfile *f, bool *failed)
{
    int error = f->error;
    *failed = fflush(f->stream) != 0;
    if (*failed && !error) error = errno;
    *failed = *failed || ferror(f->stream);
    if (!*failed && f->temp && fsync(fileno(f->stream)) != 0 && errno != EINVAL && errno != ENOTSUP) {
        *failed = true;
        error = errno;
    }
    if (fclose(f->stream) != 0 && !*failed) {
        *failed = true;
        error = errno;
    }
    f->stream = NULL;
    return error;
}

dd_status dd_outfile_commit(dd_outfile **file, dd_err *err)
{
    dd_outfile *f = *file;
    *file = NULL;
    bool failed;
    const int error = finish_stream(f, &failed);
    dd_status st = failed ? write_failed(f, error, err) : DD_OK;
    if (st == DD_OK && f->temp) {
        if (rename(f->temp, f->target) != 0) {
            st = DD_FAIL(err, DD_ERR_IO, "%s could not be put in place: %s", f->path, strerror(errno));
        } else {
            free(f->temp); /* now the file itself: discard must not remove it */
            f->temp = NULL;
        }
    }
    dd_outfile_discard(&f);
    return st;
}

void dd_outfile_discard(dd_outfile **file)
{
    dd_outfile *f = *file;
    if (!f) return;
    if (f->stream) fclose(f->stream);
    if (f->temp) unlink(f->temp);
    free(f->temp);
    free(f->target);
    free(f->path);
    free(f);
    *file = NULL;
}

dd_status dd_outfile_check(const char *path, dd_err *err)
{
    place p;
    DD_TRY(find_place(&p, path, err));
    free(p.target);
    return DD_OK;
}

dd_status dd_outfile_text(const char *path, const char *text, dd_err *err)
{
    dd_outfile *f;
    DD_TRY(dd_outfile_open(&f, path, err));
    const dd_status st = dd_outfile_write(f, text, strlen(text), err);
    if (st == DD_OK) return dd_outfile_commit(&f, err);
    dd_outfile_discard(&f);
    return st;
}

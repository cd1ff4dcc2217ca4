/* SPDX-License-Identifier: MIT
 * Whole-or-nothing output folders. */
#define _POSIX_C_SOURCE 200809L
#include "host/io/outfolder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/io/path.h"

#define MAX_FILES 4

struct dd_outfolder {
    char *temp;               /* NULL: not made */
    char target[DD_PATH_MAX]; /* without slashes at its end */
    const char *files[MAX_FILES];
    int n_files;
};

static dd_status copy_name(char *target, const char *path, dd_err *err)
{
    size_t n = path ? strlen(path) : 0;
    if (n == 0) return DD_FAIL(err, DD_ERR_ARG, "the name of the output folder is empty");
    while (n > 1 && path[n - 1] == '/') n--;
    if (n >= DD_PATH_MAX) return DD_FAIL(err, DD_ERR_ARG, "%.200s…: the name is too long", path);
    memcpy(target, path, n);
    target[n] = '\0';
    return DD_OK;
}

/* An existing folder without anything in it. */
static dd_status require_empty(const char *path, dd_err *err)
{
    DIR *dir = opendir(path);
    if (!dir) return DD_FAIL(err, DD_ERR_IO, "%s cannot be opened as a folder: %s", path, strerror(errno));
    const struct dirent *e;
    while ((e = readdir(dir)) && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)) continue;
    closedir(dir);
    return e ? DD_FAIL(err, DD_ERR_IO, "%s is there and not empty; folders are not replaced", path) : DD_OK;
}

static dd_status check(const char *target, dd_err *err)
{
    struct stat info;
    char parent[DD_PATH_MAX];
    const size_t n = dd_path_folder_length(target);
    memcpy(parent, n ? target : ".", n ? n : 1);
    parent[n ? n : 1] = '\0';
    if (lstat(target, &info) == 0) {
        if (!S_ISDIR(info.st_mode)) return DD_FAIL(err, DD_ERR_IO, "%s is there and no folder", target);
        DD_TRY(require_empty(target, err));
    }
    if (stat(parent, &info) != 0) return DD_FAIL(err, DD_ERR_IO, "%s: folder %s: %s", target, parent, strerror(errno));
    if (access(parent, W_OK | X_OK) != 0)
        return DD_FAIL(err, DD_ERR_IO, "%s: folder %s is not writable: %s", target, parent, strerror(errno));
    return DD_OK;
}

dd_status dd_outfolder_check(const char *path, dd_err *err)
{
    char target[DD_PATH_MAX];
    DD_TRY(copy_name(target, path, err));
    return check(target, err);
}

static dd_status make_temp(dd_outfolder *f, dd_err *err)
{
    int rc = -1;
    for (int attempt = 0; rc != 0 && attempt < DD_PATH_TEMP_TRIES; attempt++) {
        free(f->temp);
        f->temp = dd_path_temp(f->target, f, attempt);
        if (!f->temp) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", f->target);
        rc = mkdir(f->temp, 0777);
        if (rc != 0 && errno != EEXIST) break;
    }
    if (rc == 0) return DD_OK;
    const int why = errno;
    free(f->temp); /* not made, so not to be removed */
    f->temp = NULL;
    return DD_FAIL(err, DD_ERR_IO, "%s cannot be made: %s", f->target, strerror(why));
}

dd_status dd_outfolder_open(dd_outfolder **out, const char *path, dd_err *err)
{
    *out = NULL;
    dd_outfolder *f = calloc(1, sizeof *f);
    if (!f) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", path);
    dd_status st = copy_name(f->target, path, err);
    if (st == DD_OK) st = check(f->target, err);
    if (st == DD_OK) st = make_temp(f, err);
    if (st != DD_OK) dd_outfolder_discard(&f);
    *out = f;
    return st;
}

dd_status dd_outfolder_file(dd_outfolder *f, const char *name, char *path, dd_err *err)
{
    if (f->n_files == MAX_FILES) return DD_FAIL(err, DD_ERR_INTERNAL, "%s: too many files", f->target);
    f->files[f->n_files++] = name;
    return dd_path_join(path, f->temp, name, "", err);
}

/* So that the names of the files are on the disk before the folder has its own. */
static dd_status sync_folder(const dd_outfolder *f, dd_err *err)
{
    const int fd = open(f->temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int rc = fd < 0 ? -1 : fsync(fd);
    const int why = errno;
    if (fd >= 0) close(fd);
    if (rc == 0 || why == EINVAL || why == ENOTSUP) return DD_OK; /* some file systems cannot */
    return DD_FAIL(err, DD_ERR_IO, "%s could not be written: %s", f->target, strerror(why));
}

dd_status dd_outfolder_commit(dd_outfolder **folder, dd_err *err)
{
    dd_outfolder *f = *folder;
    dd_status st = sync_folder(f, err);
    if (st == DD_OK && rename(f->temp, f->target) != 0)
        st = DD_FAIL(err, DD_ERR_IO, "%s could not be put in place: %s", f->target, strerror(errno));
    if (st == DD_OK) {
        free(f->temp); /* now the folder itself */
        f->temp = NULL;
    }
    dd_outfolder_discard(folder);
    return st;
}

void dd_outfolder_discard(dd_outfolder **folder)
{
    dd_outfolder *f = *folder;
    char path[DD_PATH_MAX];
    if (!f) return;
    for (int i = 0; f->temp && i < f->n_files; i++)
        if (dd_path_join(path, f->temp, f->files[i], "", NULL) == DD_OK) unlink(path);
    if (f->temp) rmdir(f->temp);
    free(f->temp);
    free(f);
    *folder = NULL;
}

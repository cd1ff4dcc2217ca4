/* SPDX-License-Identifier: MIT
 * A folder for the files of one test program: made by the group's setup, removed with all it holds by the teardown. */
#ifndef DD_TESTS_UNIT_SCRATCH_H
#define DD_TESTS_UNIT_SCRATCH_H

/* The including file defines _XOPEN_SOURCE 700 and includes cmocka.h first. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch_dir[512];

static inline int scratch_setup(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(scratch_dir, sizeof scratch_dir, "%s/dydit-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    return mkdtemp(scratch_dir) ? 0 : -1;
}

/* Path of a name inside the folder; valid until the fourth call after this one. */
static inline const char *scratch(const char *name)
{
    static char paths[4][1024];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", scratch_dir, name);
    return path;
}

/* Number of entries, hidden ones included. */
static inline int scratch_count(void)
{
    int n = 0;
    DIR *d = opendir(scratch_dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return n;
}

/* Removes everything inside. The tests make folders one level deep at most, and leave them empty. */
static inline void scratch_clear(void)
{
    DIR *d = opendir(scratch_dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) (void)remove(scratch(e->d_name));
    closedir(d);
}

static inline int scratch_teardown(void **state)
{
    (void)state;
    scratch_clear();
    return rmdir(scratch_dir);
}

static inline void scratch_write(const char *name, const void *data, size_t n)
{
    FILE *f = fopen(scratch(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* The whole file, with a NUL behind it; for the caller to free. */
static inline unsigned char *scratch_read(const char *name, size_t *n)
{
    FILE *f = fopen(scratch(name), "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    const long size = ftell(f);
    assert_true(size >= 0);
    rewind(f);
    unsigned char *data = malloc((size_t)size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, (size_t)size, f), (size_t)size);
    data[size] = 0;
    fclose(f);
    if (n) *n = (size_t)size;
    return data;
}

#endif

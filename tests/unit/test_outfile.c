/* SPDX-License-Identifier: MIT
 * Unit tests of output files: whole or not at all, links, permissions, devices, and every way to fail. */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/io/outfile.h"
#include "tests/unit/scratch.h"

static int clear(void **state)
{
    (void)state;
    umask(022);
    scratch_clear();
    return 0;
}

static void assert_content(const char *name, const char *expected)
{
    size_t n;
    unsigned char *data = scratch_read(name, &n);
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(data, expected, n);
    free(data);
}

static mode_t mode_of(const char *name)
{
    struct stat info;
    assert_int_equal(stat(scratch(name), &info), 0);
    return info.st_mode & 0777;
}

static dd_outfile *open_with(const char *name, const char *text)
{
    dd_outfile *f = NULL;
    assert_int_equal(dd_outfile_open(&f, scratch(name), NULL), DD_OK);
    assert_int_equal(dd_outfile_write(f, text, strlen(text), NULL), DD_OK);
    return f;
}

static void assert_refused(const char *path, const char *reason)
{
    dd_err err = {0};
    dd_outfile *f = NULL;
    assert_int_equal(dd_outfile_check(path, &err), DD_ERR_IO);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, reason));
    dd_err_clear(&err);
    assert_int_equal(dd_outfile_open(&f, path, &err), DD_ERR_IO);
    assert_null(f);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, reason));
}

static void appears_on_commit_only(void **state)
{
    (void)state;
    umask(027);
    dd_outfile *f = open_with("new.bin", "hello ");
    assert_int_equal(dd_outfile_write(f, NULL, 0, NULL), DD_OK);
    assert_true(fprintf(dd_outfile_stream(f), "%d", 42) > 0);
    assert_int_not_equal(access(scratch("new.bin"), F_OK), 0);
    assert_int_equal(scratch_count(), 1);
    assert_int_equal(dd_outfile_commit(&f, NULL), DD_OK);
    assert_null(f);
    assert_content("new.bin", "hello 42");
    assert_int_equal(mode_of("new.bin"), 0640);
    assert_int_equal(scratch_count(), 1);
}

static void discard_leaves_nothing(void **state)
{
    (void)state;
    dd_outfile *f = open_with("new.bin", "lost");
    dd_outfile_discard(&f);
    assert_null(f);
    dd_outfile_discard(&f);
    assert_int_equal(scratch_count(), 0);
}

static void old_content_stays_until_commit(void **state)
{
    (void)state;
    scratch_write("old.bin", "old", 3);
    assert_int_equal(chmod(scratch("old.bin"), 0604), 0);
    dd_outfile *f = open_with("old.bin", "new content");
    assert_content("old.bin", "old");
    dd_outfile_discard(&f);
    assert_content("old.bin", "old");
    f = open_with("old.bin", "new content");
    assert_int_equal(dd_outfile_commit(&f, NULL), DD_OK);
    assert_content("old.bin", "new content");
    assert_int_equal(mode_of("old.bin"), 0604);
    assert_int_equal(scratch_count(), 1);
}

static void two_writers_do_not_meet(void **state)
{
    (void)state;
    dd_outfile *a = open_with("same.bin", "first"), *b = open_with("same.bin", "second");
    assert_int_equal(scratch_count(), 2);
    assert_int_equal(dd_outfile_commit(&b, NULL), DD_OK);
    assert_int_equal(dd_outfile_commit(&a, NULL), DD_OK);
    assert_content("same.bin", "first");
    assert_int_equal(scratch_count(), 1);
}

static void links_are_written_through(void **state)
{
    (void)state;
    scratch_write("target.bin", "old", 3);
    assert_int_equal(mkdir(scratch("sub"), 0777), 0);
    assert_int_equal(symlink("../target.bin", scratch("sub/second")), 0);
    assert_int_equal(symlink("sub/second", scratch("first")), 0);
    assert_int_equal(dd_outfile_text(scratch("first"), "new", NULL), DD_OK);
    struct stat info;
    assert_int_equal(lstat(scratch("first"), &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(lstat(scratch("target.bin"), &info), 0);
    assert_true(S_ISREG(info.st_mode));
    assert_content("target.bin", "new");
    assert_int_equal(unlink(scratch("sub/second")), 0);
    /* A link to nothing creates what it names. */
    assert_int_equal(symlink("later.bin", scratch("dangling")), 0);
    assert_int_equal(dd_outfile_text(scratch("dangling"), "created", NULL), DD_OK);
    assert_content("later.bin", "created");
}

static void link_loops_end(void **state)
{
    (void)state;
    assert_int_equal(symlink("b", scratch("a")), 0);
    assert_int_equal(symlink("a", scratch("b")), 0);
    assert_refused(scratch("a"), "too many symbolic links");
    assert_int_equal(scratch_count(), 2);
}

static void impossible_places_are_refused(void **state)
{
    (void)state;
    dd_err err = {0};
    dd_outfile *f = NULL;
    scratch_write("file", "x", 1);
    assert_int_equal(mkdir(scratch("folder"), 0777), 0);
    assert_refused(scratch("folder"), "is a folder");
    assert_refused(scratch("folder/"), "is a folder");
    assert_refused(scratch("missing/x.png"), strerror(ENOENT));
    assert_refused(scratch("file/x.png"), "is not a folder");
    assert_refused(scratch("missing.png/"), "names no file");
    assert_int_equal(dd_outfile_open(&f, "", &err), DD_ERR_ARG);
    assert_int_equal(dd_outfile_check("", NULL), DD_ERR_ARG);
    assert_int_equal(scratch_count(), 2);
    char name[300];
    memset(name, 'n', 299);
    name[299] = '\0';
    dd_err_clear(&err);
    const dd_status st = dd_outfile_text(scratch(name), "x", &err);
    assert_int_equal(st, DD_ERR_IO);
    assert_non_null(strstr(err.text, strerror(ENAMETOOLONG)));
    assert_int_equal(scratch_count(), 2);
}

static void read_only_is_respected(void **state)
{
    (void)state;
    if (geteuid() == 0) {
        print_message("# the superuser may write anywhere\n");
        skip();
    }
    scratch_write("locked.bin", "old", 3);
    assert_int_equal(chmod(scratch("locked.bin"), 0444), 0);
    assert_refused(scratch("locked.bin"), "not writable");
    assert_int_equal(mkdir(scratch("locked"), 0555), 0);
    assert_refused(scratch("locked/x.png"), "not writable");
}

static void long_names_fit(void **state)
{
    (void)state;
    char name[256];
    memset(name, 'n', 255); /* NAME_MAX: the temporary name must not be longer */
    name[255] = '\0';
    assert_int_equal(dd_outfile_text(scratch(name), "x", NULL), DD_OK);
    assert_content(name, "x");
    assert_int_equal(scratch_count(), 1);
}

static void check_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(dd_outfile_check(scratch("new.bin"), NULL), DD_OK);
    assert_int_equal(scratch_count(), 0);
    scratch_write("old.bin", "old", 3);
    assert_int_equal(dd_outfile_check(scratch("old.bin"), NULL), DD_OK);
    assert_content("old.bin", "old");
    assert_int_equal(dd_outfile_check("/dev/null", NULL), DD_OK);
}

static void plain_names_use_the_current_folder(void **state)
{
    (void)state;
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(scratch_dir), 0);
    const dd_status st = dd_outfile_text("plain.txt", "here", NULL);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(st, DD_OK);
    assert_content("plain.txt", "here");
}

static void devices_are_written_directly(void **state)
{
    (void)state;
    assert_int_equal(dd_outfile_text("/dev/null", "gone", NULL), DD_OK);
    struct stat info;
    assert_int_equal(stat("/dev/null", &info), 0);
    assert_true(S_ISCHR(info.st_mode));
}

/* Both ways to notice: while writing more than the stream buffers, and only at the end. */
static void full_device_is_reported(void **state)
{
    (void)state;
    if (access("/dev/full", W_OK) != 0) {
        print_message("# no /dev/full here\n");
        skip();
    }
    dd_err err = {0};
    assert_int_equal(dd_outfile_text("/dev/full", "short", &err), DD_ERR_IO);
    assert_non_null(strstr(err.text, "/dev/full"));
    assert_non_null(strstr(err.text, strerror(ENOSPC)));
    static char big[1 << 20];
    memset(big, 'x', sizeof big - 1);
    dd_err_clear(&err);
    assert_int_equal(dd_outfile_text("/dev/full", big, &err), DD_ERR_IO);
    assert_non_null(strstr(err.text, "/dev/full"));
    assert_non_null(strstr(err.text, strerror(ENOSPC)));
    /* A failed write is not forgotten by the commit, even if the caller went on. */
    dd_outfile *f = NULL;
    dd_err_clear(&err);
    assert_int_equal(dd_outfile_open(&f, "/dev/full", NULL), DD_OK);
    assert_int_equal(dd_outfile_write(f, big, sizeof big, NULL), DD_ERR_IO);
    assert_int_equal(dd_outfile_commit(&f, &err), DD_ERR_IO);
    assert_null(f);
    assert_non_null(strstr(err.text, "/dev/full"));
}

/* The temporary file is on a full disk: stood in for by swapping the stream's descriptor. */
static void full_disk_leaves_nothing(void **state)
{
    (void)state;
    const int full = open("/dev/full", O_WRONLY);
    if (full < 0) {
        print_message("# no /dev/full here\n");
        skip();
    }
    scratch_write("old.bin", "old", 3);
    dd_err err = {0};
    dd_outfile *f = open_with("old.bin", "too much");
    assert_true(dup2(full, fileno(dd_outfile_stream(f))) >= 0);
    close(full);
    assert_int_equal(dd_outfile_commit(&f, &err), DD_ERR_IO);
    assert_null(f);
    assert_non_null(strstr(err.text, scratch("old.bin")));
    assert_non_null(strstr(err.text, strerror(ENOSPC)));
    assert_content("old.bin", "old");
    assert_int_equal(scratch_count(), 1);
}

static void failed_rename_leaves_nothing(void **state)
{
    (void)state;
    dd_err err = {0};
    dd_outfile *f = open_with("x.bin", "data");
    assert_int_equal(mkdir(scratch("x.bin"), 0777), 0); /* came in between */
    assert_int_equal(dd_outfile_commit(&f, &err), DD_ERR_IO);
    assert_non_null(strstr(err.text, "x.bin"));
    assert_non_null(strstr(err.text, strerror(EISDIR)));
    assert_int_equal(scratch_count(), 1);
}

static void pipes_are_written_directly(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(scratch("pipe"), 0600), 0);
    const int in = open(scratch("pipe"), O_RDONLY | O_NONBLOCK);
    assert_true(in >= 0);
    assert_int_equal(dd_outfile_text(scratch("pipe"), "through", NULL), DD_OK);
    char text[16] = {0};
    assert_int_equal(read(in, text, sizeof text - 1), 7);
    assert_string_equal(text, "through");
    close(in);
    struct stat info;
    assert_int_equal(stat(scratch("pipe"), &info), 0);
    assert_true(S_ISFIFO(info.st_mode));
}

/* `dydit … -o /dev/stdout > file` must fill that very file, not put another in its place. */
static void descriptors_are_written_directly(void **state)
{
    (void)state;
    const int fd = open(scratch("redirected"), O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    char path[64];
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    assert_int_equal(dd_outfile_text(path, "kept", NULL), DD_OK);
    char text[16] = {0};
    assert_int_equal(pread(fd, text, sizeof text - 1, 0), 4);
    assert_string_equal(text, "kept");
    close(fd);
    assert_int_equal(scratch_count(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(appears_on_commit_only, clear),
        cmocka_unit_test_setup(discard_leaves_nothing, clear),
        cmocka_unit_test_setup(old_content_stays_until_commit, clear),
        cmocka_unit_test_setup(two_writers_do_not_meet, clear),
        cmocka_unit_test_setup(links_are_written_through, clear),
        cmocka_unit_test_setup(link_loops_end, clear),
        cmocka_unit_test_setup(impossible_places_are_refused, clear),
        cmocka_unit_test_setup(read_only_is_respected, clear),
        cmocka_unit_test_setup(long_names_fit, clear),
        cmocka_unit_test_setup(check_changes_nothing, clear),
        cmocka_unit_test_setup(plain_names_use_the_current_folder, clear),
        cmocka_unit_test_setup(devices_are_written_directly, clear),
        cmocka_unit_test_setup(full_device_is_reported, clear),
        cmocka_unit_test_setup(full_disk_leaves_nothing, clear),
        cmocka_unit_test_setup(failed_rename_leaves_nothing, clear),
        cmocka_unit_test_setup(pipes_are_written_directly, clear),
        cmocka_unit_test_setup(descriptors_are_written_directly, clear),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}

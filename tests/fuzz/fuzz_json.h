/* SPDX-License-Identifier: MIT
 * Fuzz targets of readers of a JSON file in a folder of other files. The including file is one such target: beside what
 * fuzz_driver.h asks for it defines FUZZ_OWN_TOKENS, words of its format, before. */
#ifndef DD_TESTS_FUZZ_JSON_H
#define DD_TESTS_FUZZ_JSON_H

#include <unistd.h>

#include "tests/fuzz/fuzz_driver.h"

#define FUZZ_FOLDER_FILES 8

/* In that for temporary files, removed with its files at the end of the program. */
static char folder_name[256];
static char folder_files[FUZZ_FOLDER_FILES][384];
static int n_folder_files;

static inline void folder_remove(void)
{
    for (int i = n_folder_files; i-- > 0;) (void)remove(folder_files[i]);
    (void)rmdir(folder_name);
}

/* The folder, made by the first call. */
static inline const char *folder_path(void)
{
    if (folder_name[0]) return folder_name;
    const char *tmp = getenv("TMPDIR");
    snprintf(folder_name, sizeof folder_name, "%s/" FUZZ_NAME "-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    require(mkdtemp(folder_name) != NULL, "a folder for temporary files");
    require(atexit(folder_remove) == 0, "memory for atexit");
    return folder_name;
}

/* A name in the folder, to be removed with it. */
static inline const char *folder_file(const char *name)
{
    require(n_folder_files < FUZZ_FOLDER_FILES, "room for one more file");
    char *path = folder_files[n_folder_files++];
    snprintf(path, sizeof folder_files[0], "%s/%s", folder_path(), name);
    return path;
}

/* A link in it to a file of the project, in whose root the program runs. */
static inline void folder_link(const char *file, const char *name)
{
    char *full = realpath(file, NULL);
    require(full != NULL, "run in the root of the project");
    require(symlink(full, folder_file(name)) == 0, "a link");
    free(full);
}

static inline void write_input(const char *path, const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    require(f && fwrite(data, 1, size, f) == size, "write to a temporary file");
    require(fclose(f) == 0, "close a temporary file");
}

#ifdef DD_FUZZ_MAIN

static const char smallest[] = "{}";

static const fuzz_token tokens[] = {FUZZ_TOKEN("{"),     FUZZ_TOKEN("}"),        FUZZ_TOKEN("["),
                                    FUZZ_TOKEN("]"),     FUZZ_TOKEN(","),        FUZZ_TOKEN(":"),
                                    FUZZ_TOKEN("\""),    FUZZ_TOKEN("\\"),       FUZZ_TOKEN("0"),
                                    FUZZ_TOKEN("-1"),    FUZZ_TOKEN("1.5"),      FUZZ_TOKEN("9223372036854775807"),
                                    FUZZ_TOKEN("1e400"), FUZZ_TOKEN("1e-300"),   FUZZ_TOKEN("null"),
                                    FUZZ_TOKEN("true"),  FUZZ_TOKEN("\\u0000"),  FUZZ_TOKEN("[[[[[[[["),
                                    FUZZ_TOKEN("\xff"),  FUZZ_TOKEN("\"a\":1,"), FUZZ_OWN_TOKENS};

/* JSON has no sizes or sums that a change would break. */
static size_t repair(uint8_t *buf, size_t size)
{
    (void)buf;
    return size;
}

#endif

#endif

/* SPDX-License-Identifier: MIT
 * Names of files and folders. */
#define _POSIX_C_SOURCE 200809L
#include "host/io/path.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/base/str.h"

#define MAX_STEM 200 /* bytes of the name kept in the temporary one: NAME_MAX is 255 */

dd_status dd_path_join(char *out, const char *folder, const char *name, const char *end, dd_err *err)
{
    const int n = snprintf(out, DD_PATH_MAX, "%s/%s%s", folder, name, end);
    return n > 0 && n < DD_PATH_MAX ? DD_OK : DD_FAIL(err, DD_ERR_ARG, "%.200s…: the name is too long", folder);
}

size_t dd_path_folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

bool dd_path_is_folder(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

bool dd_path_is_file(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

char *dd_path_temp(const char *target, const void *user, int attempt)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
    const size_t folder = dd_path_folder_length(target);
    size_t stem = strlen(target + folder);
    if (stem > MAX_STEM) stem = MAX_STEM;
    char *name = malloc(folder + stem + 9);
    if (!name) return NULL;
    memcpy(name, target, folder);
    name[folder] = '.';
    memcpy(name + folder + 1, target + folder, stem);
    char *suffix = name + folder + 1 + stem;
    memcpy(suffix, ".XXXXXX", 8);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const long long seed[4] = {(long long)now.tv_sec, now.tv_nsec, (long long)getpid(), attempt};
    uint64_t h = dd_hash(DD_HASH_INIT, seed, sizeof seed);
    h = dd_hash(h, &user, sizeof user);
    for (int i = 0; i < 6; i++) suffix[1 + i] = letters[h >> (10 + 5 * i) & 31];
    return name;
}

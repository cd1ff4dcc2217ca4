/* SPDX-License-Identifier: MIT
 * Compares and checks paths, makes folders. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include "cli/outputs.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/term.h"

#ifndef PATH_MAX
#define PATH_MAX 4096
#endif

void cli_outputs_in(cli_outputs *o, const char *flag, const char *path)
{
    if (path && o->n_in < CLI_MAX_PATHS) o->in[o->n_in++] = (cli_path){flag, path};
}

void cli_outputs_in_policy(cli_outputs *o, const char *policy)
{
    static const char key[] = "router=";
    const char *at = policy ? strstr(policy, key) : NULL;
    if (!at || at == policy || (at[-1] != ':' && at[-1] != ',')) return;
    at += sizeof key - 1;
    snprintf(o->policy_file, sizeof o->policy_file, "%.*s", (int)strcspn(at, ","), at);
    cli_outputs_in(o, "--policy", o->policy_file);
}

void cli_outputs_out(cli_outputs *o, const char *flag, const char *path)
{
    if (path && o->n_out < CLI_MAX_PATHS) o->out[o->n_out++] = (cli_path){flag, path};
}

/* The folder of path, resolved, and a pointer to its last part. */
static bool resolve(const char *path, char folder[PATH_MAX], const char **last)
{
    char head[PATH_MAX];
    const char *slash = strrchr(path, '/');
    *last = slash ? slash + 1 : path;
    const size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof head) return false;
    memcpy(head, path, n);
    head[n] = 0;
    return realpath(!slash ? "." : n == 0 ? "/" : head, folder) != NULL;
}

static bool same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    char fa[PATH_MAX], fb[PATH_MAX];
    const char *la, *lb;
    const bool a_there = stat(a, &sa) == 0, b_there = stat(b, &sb) == 0;
    if (a_there && b_there) return S_ISREG(sa.st_mode) && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
    if (a_there != b_there) return false;
    return resolve(a, fa, &la) && resolve(b, fb, &lb) && strcmp(fa, fb) == 0 && strcmp(la, lb) == 0;
}

int cli_outputs_check(const cli_outputs *o, dydit_ctx *ctx)
{
    for (int i = 0; i < o->n_out; i++) {
        const cli_path *p = &o->out[i];
        if (strcmp(p->path, "-") == 0) {
            return cli_fail(CLI_USAGE, "%s: '-' is not supported; /dev/stdout is", p->flag);
        }
        for (int j = 0; j < i; j++) {
            if (same_file(p->path, o->out[j].path)) {
                return cli_fail(CLI_USAGE, "%s and %s would both write %s", o->out[j].flag, p->flag, p->path);
            }
        }
        for (int j = 0; j < o->n_in; j++) {
            if (same_file(p->path, o->in[j].path)) {
                return cli_fail(CLI_USAGE, "%s would overwrite %s, which %s reads", p->flag, p->path, o->in[j].flag);
            }
        }
        const dydit_status st = dydit_check_output(ctx, p->path);
        if (st != DYDIT_OK) return cli_fail_status(ctx, st);
    }
    return CLI_OK;
}

/* Makes one folder of the path, its first n characters. */
static int make_one(cli_folder *f, char *part, size_t n)
{
    struct stat st;
    part[n] = 0;
    if (stat(part, &st) == 0) {
        if (S_ISDIR(st.st_mode)) return CLI_OK;
        return cli_fail(CLI_SYSTEM, "%s is not a folder", part);
    }
    if (mkdir(part, 0777) != 0) return cli_fail(CLI_SYSTEM, "could not make the folder %s: %s", part, strerror(errno));
    if (f->first_new == 0) f->first_new = n;
    return CLI_OK;
}

int cli_folder_make(cli_folder *f, const char *path)
{
    char part[PATH_MAX];
    size_t n = strlen(path);
    f->path = path;
    f->first_new = 0;
    if (n >= sizeof part) return cli_fail(CLI_USAGE, "the folder's name is too long (%zu characters)", n);
    while (n > 1 && path[n - 1] == '/') n--;
    for (size_t i = 1; i <= n; i++) {
        if (i < n && path[i] != '/') continue;
        memcpy(part, path, i);
        const int rc = make_one(f, part, i);
        if (rc != CLI_OK) {
            cli_folder_undo(f);
            return rc;
        }
    }
    if (access(path, W_OK | X_OK) == 0) return CLI_OK;
    return cli_fail(CLI_SYSTEM, "the folder %s is not writable: %s", path, strerror(errno));
}

void cli_folder_undo(const cli_folder *f)
{
    char part[PATH_MAX];
    if (!f->path || f->first_new == 0) return;
    const size_t n = strlen(f->path);
    memcpy(part, f->path, n + 1);
    for (size_t i = n; i >= f->first_new; i--) {
        if (i < n && part[i] != '/') continue;
        part[i] = 0;
        (void)rmdir(part);
    }
}

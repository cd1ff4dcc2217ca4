/* SPDX-License-Identifier: MIT
 * Finds and loads the shared objects of backends. No state: contexts of several threads may load at the same time, which
 * the dynamic loader allows. */
#define _GNU_SOURCE /* dladdr1, secure_getenv */
#include "host/exec/plugin.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/str.h"

#ifndef DD_LIBDIR
#define DD_LIBDIR "/usr/local/lib"
#endif

#define PATH_VARIABLE "DYDIT_PLUGIN_PATH"

typedef struct search {
    const char *name;    /* "cuda" */
    char path[PATH_MAX]; /* the file, once found */
    bool found;
    dd_str looked; /* folders without it, commas between them */
} search;

static bool listed(const char *list, const char *folder)
{
    const size_t n = strlen(folder);
    for (const char *p = list; p && (p = strstr(p, folder)); p++)
        if ((p == list || p[-1] == ' ') && (p[n] == 0 || p[n] == ',')) return true;
    return false;
}

/* A relative folder would be whatever stands where the program happens to be started: it is passed over. */
static void look_in(search *s, const char *folder)
{
    struct stat info;
    if (s->found || folder[0] != '/') return;
    const int n = snprintf(s->path, sizeof s->path, "%s/libdydit-%s.so", folder, s->name);
    if (n > 0 && (size_t)n < sizeof s->path) s->found = stat(s->path, &info) == 0;
    if (!s->found && !listed(s->looked.data, folder))
        dd_str_addf(&s->looked, "%s%s", s->looked.len ? ", " : "", folder);
}

static void look_beside(search *s, const char *file)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(file, '/');
    if (!slash || (size_t)(slash - file) >= sizeof folder) return;
    memcpy(folder, file, (size_t)(slash - file));
    folder[slash - file] = 0;
    look_in(s, folder);
}

/* Programs that run with more rights than their caller has do not read the variable. */
static dd_status look_in_variable(search *s, dd_err *err)
{
    char folder[PATH_MAX];
    const char *rest = secure_getenv(PATH_VARIABLE);
    while (rest && *rest) {
        const size_t n = strcspn(rest, ":");
        const char *at = rest;
        rest += n + (rest[n] == ':');
        if (n == 0) continue;
        if (at[0] != '/')
            return DD_FAIL(err, DD_ERR_ARG, PATH_VARIABLE " names the folder '%.*s', which does not begin with /",
                           (int)(n < 200 ? n : 200), at);
        if (n >= sizeof folder) continue;
        memcpy(folder, at, n);
        folder[n] = 0;
        look_in(s, folder);
    }
    return DD_OK;
}

static void look_beside_program(search *s)
{
    char exe[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0) return;
    exe[n] = 0;
    look_beside(s, exe);
}

/* The shared library that holds this code. Where it is the program itself, the loader knows no name but argv[0], which
 * anyone may choose; its link map then has none. */
static void look_beside_library(search *s)
{
    static const char here;
    Dl_info info;
    struct link_map *map = NULL;
    if (dladdr1(&here, &info, (void **)&map, RTLD_DL_LINKMAP) && map && map->l_name) look_beside(s, map->l_name);
}

dd_status dd_plugin_find(const char *name, char *path, size_t size, dd_err *err)
{
    search s = {.name = name};
    dd_status st = look_in_variable(&s, err);
    if (st == DD_OK) {
        look_beside_program(&s);
        look_beside_library(&s);
        look_in(&s, DD_LIBDIR "/dydit");
        if (!s.found)
            st = DD_FAIL(err, DD_ERR_NOT_FOUND, "libdydit-%s.so was not found in %s", name,
                         s.looked.data ? s.looked.data : "any folder");
        else if (strlen(s.path) >= size) st = DD_FAIL(err, DD_ERR_INTERNAL, "path %s is too long", s.path);
        else memcpy(path, s.path, strlen(s.path) + 1);
    }
    dd_str_free(&s.looked);
    return st;
}

/* What the loader said, without the path that it may begin with. */
static const char *load_error(const char *path)
{
    const char *text = dlerror();
    const size_t n = strlen(path);
    if (!text) return "no reason given";
    return strncmp(text, path, n) == 0 && text[n] == ':' ? text + n + 1 + (text[n + 1] == ' ') : text;
}

dd_status dd_plugin_open(dd_backend **out, const char *name, int device, dd_err *err)
{
    char path[PATH_MAX];
    dd_err local = {0}; /* tells a plugin that says why from one that cannot */
    *out = NULL;
    DD_TRY(dd_plugin_find(name, path, sizeof path, err));
    /* Never closed: threads and handlers that the libraries behind a plugin leave behind would run unmapped code. */
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!object) return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s cannot be loaded: %s", path, load_error(path));
    void *symbol = dlsym(object, DD_PLUGIN_SYMBOL);
    if (!symbol)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED,
                       "%s has no function " DD_PLUGIN_SYMBOL ": it is no plugin of this version", path);
    dd_backend_open_fn *open;
    _Static_assert(sizeof open == sizeof symbol, "a function has the size of an object pointer, as POSIX says");
    memcpy(&open, &symbol, sizeof open);
    const dd_host_api host = {.abi = DD_PLUGIN_ABI,
                              .api_size = sizeof host,
                              .backend_size = sizeof(dd_backend),
                              .op_size = sizeof(dd_op),
                              .device = device,
                              .err = &local};
    const dd_status st = open(&host, out);
    if (st == DD_OK && *out) return DD_OK;
    *out = NULL;
    if (st == DD_OK) return DD_FAIL(err, DD_ERR_INTERNAL, "%s returned no backend", path);
    if (local.text[0]) return dd_err_set(err, st, local.file, local.line, "%s", local.text);
    return DD_FAIL(err, st, "%s is of another build: it does not know plugin interface %d", path, DD_PLUGIN_ABI);
}

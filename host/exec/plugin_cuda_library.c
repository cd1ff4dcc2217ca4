/* SPDX-License-Identifier: MIT
 * Opens a library of NVIDIA's where it is installed, by the name that the header of this build has. */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "host/exec/plugin_cuda.h"

bool dd_cuda_library_open(const dd_cuda_library *l, void *api, char *where, size_t size)
{
    Dl_info info;
    void *symbol = NULL, *object = dlopen(l->file, RTLD_NOW | RTLD_LOCAL); /* stays: plugins do */
    if (!object) {
        const char *why = dlerror();
        snprintf(where, size, "%s%s", why ? why : l->file, why ? "" : " cannot be opened");
        return false;
    }
    for (size_t i = 0; i < l->n_calls; i++) {
        symbol = dlsym(object, l->calls[i].name);
        if (!symbol) {
            snprintf(where, size, "%s has no function %s", l->file, l->calls[i].name);
            return false;
        }
        memcpy((char *)api + l->calls[i].at, &symbol, sizeof symbol);
    }
    snprintf(where, size, "%s", dladdr(symbol, &info) && info.dli_fname ? info.dli_fname : l->file);
    return true;
}

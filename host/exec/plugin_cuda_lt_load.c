/* SPDX-License-Identifier: MIT
 * Opens cuBLASLt where it is installed, by the name that its header has: half a gigabyte that nobody needs to have. With
 * DD_STAND_INS its calls are part of this object, the emulator's stand-in. */
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "host/exec/plugin_cuda.h"

#ifdef DD_HAS_CUBLASLT

#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)
#define FILE_NAME "libcublasLt.so." TEXT(CUBLAS_VER_MAJOR)

#ifdef DD_STAND_INS

static bool load(dd_lt_api *api, char *where, size_t size)
{
#define CALL(name) api->name = cublasLt##name;
    DD_LT_CALLS(CALL)
#undef CALL
    snprintf(where, size, "a stand-in");
    return true;
}

#else

static const dd_cuda_call calls[] = {
#define CALL(name) {"cublasLt" #name, offsetof(dd_lt_api, name)},
    DD_LT_CALLS(CALL)
#undef CALL
};

static bool load(dd_lt_api *api, char *where, size_t size)
{
    const dd_cuda_library library = {FILE_NAME, calls, sizeof calls / sizeof calls[0]};
    return dd_cuda_library_open(&library, api, where, size);
}

#endif

static dd_lt_api api; /* the same for the whole process; where it cannot be used, api.Create is NULL */
static char version_found[16], where_found[DD_ERR_TEXT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load_once(void)
{
    dd_lt_api found;
    if (!load(&found, where_found, sizeof where_found)) return;
    const size_t number = found.GetVersion(), major = number / 10000;
    if (major != CUBLAS_VER_MAJOR) {
        snprintf(where_found, sizeof where_found, FILE_NAME " is of version %zu, this build is for %d", major,
                 CUBLAS_VER_MAJOR);
        return;
    }
    snprintf(version_found, sizeof version_found, "%zu.%zu.%zu", major, number / 100 % 100, number % 100);
    api = found;
}

const dd_lt_api *dd_cuda_lt_load(char *version, size_t version_size, char *where, size_t where_size)
{
    pthread_once(&once, load_once);
    snprintf(version, version_size, "%s", version_found);
    snprintf(where, where_size, "%s", where_found);
    return api.Create ? &api : NULL;
}

#else

const dd_lt_api *dd_cuda_lt_load(char *version, size_t version_size, char *where, size_t where_size)
{
    (void)version_size;
    version[0] = 0;
    snprintf(where, where_size, "this build was made without its header, cublasLt.h");
    return NULL;
}

#endif

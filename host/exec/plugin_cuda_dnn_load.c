/* SPDX-License-Identifier: MIT
 * Opens cuDNN where it is installed. With DD_STAND_INS its calls are part of this object, the emulator's stand-in. */
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "host/exec/plugin_cuda.h"

#ifdef DD_HAS_CUDNN

#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)
#define FILE_NAME "libcudnn.so." TEXT(CUDNN_MAJOR)

#ifdef DD_STAND_INS

static bool load(dd_dnn_api *api, char *where, size_t size)
{
#define CALL(name) api->name = cudnn##name;
    DD_DNN_CALLS(CALL)
#undef CALL
    snprintf(where, size, "a stand-in");
    return true;
}

#else

static const dd_cuda_call calls[] = {
#define CALL(name) {"cudnn" #name, offsetof(dd_dnn_api, name)},
    DD_DNN_CALLS(CALL)
#undef CALL
};

static bool load(dd_dnn_api *api, char *where, size_t size)
{
    const dd_cuda_library library = {FILE_NAME, calls, sizeof calls / sizeof calls[0]};
    return dd_cuda_library_open(&library, api, where, size);
}

#endif

static dd_dnn_api api; /* the same for the whole process; where it cannot be used, api.Create is NULL */
static char version_found[16], where_found[DD_ERR_TEXT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load_once(void)
{
    dd_dnn_api found;
    char version[32];
    if (!load(&found, where_found, sizeof where_found)) return;
    const size_t number = found.GetVersion(), major = number / 10000;
    snprintf(version, sizeof version, "%zu.%zu.%zu", major, number / 100 % 100, number % 100);
    if (major != CUDNN_MAJOR || number < DD_DNN_LEAST) {
        snprintf(where_found, sizeof where_found, FILE_NAME " is of version %s, this build is for %d.%d to %d.99",
                 version, DD_DNN_LEAST / 10000, DD_DNN_LEAST / 100 % 100, CUDNN_MAJOR);
        return;
    }
    snprintf(version_found, sizeof version_found, "%.15s", version);
    api = found;
}

const dd_dnn_api *dd_cuda_dnn_load(dd_library *library)
{
    pthread_once(&once, load_once);
    snprintf(library->version, sizeof library->version, "%s", version_found);
    snprintf(library->where, sizeof library->where, "%s", where_found);
    return api.Create ? &api : NULL;
}

#else

const dd_dnn_api *dd_cuda_dnn_load(dd_library *library)
{
    library->version[0] = 0;
    snprintf(library->where, sizeof library->where,
             "this build was made without its header, cudnn_graph.h of version %d.%d or later", DD_DNN_LEAST / 10000,
             DD_DNN_LEAST / 100 % 100);
    return NULL;
}

#endif

/* SPDX-License-Identifier: MIT
 * Opens what the loader finds as cuDNN, as the CUDA plugin does: prints its version and file, or why it cannot be used; exit
 * status 1 then. */
#include <stdio.h>

#include "host/exec/plugin_cuda.h"

int main(void)
{
    dd_library library;
    const dd_dnn_api *api = dd_cuda_dnn_load(&library);
    printf("%s|%s\n", library.version, library.where);
    return api == NULL;
}

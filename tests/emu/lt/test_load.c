/* SPDX-License-Identifier: MIT
 * Opens what the loader finds as cuBLASLt, as the CUDA plugin does: prints its version and file, or why it cannot be used;
 * exit status 1 then. */
#include <stdio.h>

#include "host/exec/plugin_cuda.h"

int main(void)
{
    char version[16], where[DD_ERR_TEXT];
    const dd_lt_api *api = dd_cuda_lt_load(version, sizeof version, where, sizeof where);
    printf("%s|%s\n", version, where);
    return api == NULL;
}

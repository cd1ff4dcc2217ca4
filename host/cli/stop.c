/* SPDX-License-Identifier: MIT
 * A signal handler may only touch these two; both are lock-free atomics. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include "cli/stop.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

static _Atomic(dydit_ctx *) running;
static atomic_bool asked;

static void on_signal(int number)
{
    (void)number;
    atomic_store(&asked, true);
    dydit_ctx *ctx = atomic_load(&running);
    if (ctx) dydit_cancel(ctx);
}

void cli_stop_watch(void)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction old, action;
        memset(&action, 0, sizeof action);
        action.sa_handler = on_signal;
        action.sa_flags = SA_RESTART | (int)SA_RESETHAND;
        if (sigaction(numbers[i], NULL, &old) != 0 || old.sa_handler == SIG_IGN) continue;
        sigaction(numbers[i], &action, NULL);
    }
}

void cli_stop_context(dydit_ctx *ctx) { atomic_store(&running, ctx); }

bool cli_stop_asked(void) { return atomic_load(&asked); }

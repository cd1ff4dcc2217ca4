/* SPDX-License-Identifier: MIT
 * Thread pool: workers pinned to the allowed CPUs, spin briefly, then sleep. One parallel_for at a time. */
#ifndef DD_HOST_BASE_POOL_H
#define DD_HOST_BASE_POOL_H

#include "host/base/status.h"

typedef struct dd_pool dd_pool;

typedef void dd_pool_task(void *arg, int item, int thread);

/* n_threads counts the calling thread; 0 = the CPUs this process may use. */
dd_status dd_pool_open(dd_pool **out, int n_threads, dd_err *err);
void dd_pool_close(dd_pool **pool);
int dd_pool_threads(const dd_pool *pool);

/* Runs task(arg, 0 .. n_items-1, thread); items are taken from a shared counter. Returns when all are done. The first
 * argument is a dd_pool *, as void * to fit dd_exec.parallel_for. */
void dd_pool_for(void *pool, int n_items, dd_pool_task *task, void *arg);

/* CPUs this process may run on, at least 1. */
int dd_cpu_count(void);

#endif

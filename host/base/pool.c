/* SPDX-License-Identifier: MIT
 * Thread pool. A job is published by one store to `ticket`. Workers spin on it for a bounded time, then sleep on a
 * condition variable. The plain job fields are written only while no worker is inside a job, and read only by workers
 * that saw the ticket, so the acquire/release pairs on `ticket` and `busy` order every access. */
#define _GNU_SOURCE /* sched_getaffinity, pthread_setaffinity_np */
#include "host/base/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 4096
#define SPIN_NS 50000 /* longer than the gap between two ops of a step, far shorter than a wake-up costs in power */

typedef struct worker {
    struct dd_pool *pool;
    int thread; /* 1 .. n_threads-1; the caller is 0 */
} worker;

struct dd_pool {
    int n_threads, n_started; /* n_started counts workers */
    bool spin; /* false when threads outnumber CPUs: spinning would steal the time of the one waited for */
    pthread_t *threads;
    worker *workers;

    /* The job. task == NULL asks the workers to end. */
    dd_pool_task *task;
    void *arg;
    int n_items;

    /* Own cache lines: polled by everyone, written by few. ticket = generation << 16 | threads taking part. Both in one
     * word, so that a worker not taking part never looks at the job, which may already be the next one. */
    _Alignas(64) _Atomic uint64_t ticket;
    _Alignas(64) _Atomic int64_t next; /* 64 bits: overshoot by one per thread cannot wrap */
    _Alignas(64) _Atomic int busy;     /* workers still inside the job */

    _Alignas(64) pthread_mutex_t lock; /* guards the next two; ticket changes under it, so no wake-up is lost */
    pthread_cond_t wake, done;
    int n_asleep;
    bool caller_asleep;
};

static void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Allowed CPUs as an allocated list, for the caller to free; NULL if the system does not tell. */
static int *cpu_list(int *n)
{
    *n = 0;
    int *list = NULL;
    for (int max = 1024; max <= 1 << 16 && !list; max *= 2) { /* machines may have more CPUs than cpu_set_t holds */
        cpu_set_t *set = CPU_ALLOC((size_t)max);
        if (!set) return NULL;
        const size_t bytes = CPU_ALLOC_SIZE((size_t)max);
        CPU_ZERO_S(bytes, set);
        const bool known = sched_getaffinity(0, bytes, set) == 0;
        const bool too_small = !known && errno == EINVAL;
        if (known) list = malloc((size_t)max * sizeof *list);
        for (int c = 0; list && c < max; c++)
            if (CPU_ISSET_S((size_t)c, bytes, set)) list[(*n)++] = c;
        CPU_FREE(set);
        if (!list && !too_small) return NULL;
    }
    return list;
}

int dd_cpu_count(void)
{
    int n;
    free(cpu_list(&n));
    if (n > 0) return n;
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 && online <= MAX_THREADS ? (int)online : 1;
}

static void run_items(dd_pool *p, int thread)
{
    for (;;) {
        const int64_t item = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (item >= p->n_items) return;
        p->task(p->arg, (int)item, thread);
    }
}

/* Waits until the ticket differs from `seen` and returns it. */
static uint64_t wait_ticket(dd_pool *p, uint64_t seen)
{
    uint64_t t = atomic_load_explicit(&p->ticket, memory_order_acquire);
    const int64_t until = p->spin && t == seen ? now_ns() + SPIN_NS : 0;
    while (until && t == seen && now_ns() < until) {
        for (int i = 0; i < 16 && t == seen; i++) {
            cpu_relax();
            t = atomic_load_explicit(&p->ticket, memory_order_acquire);
        }
    }
    if (t != seen) return t;
    pthread_mutex_lock(&p->lock);
    p->n_asleep++;
    while ((t = atomic_load_explicit(&p->ticket, memory_order_acquire)) == seen) pthread_cond_wait(&p->wake, &p->lock);
    p->n_asleep--;
    pthread_mutex_unlock(&p->lock);
    return t;
}

static void *worker_main(void *arg)
{
    const worker *w = arg;
    dd_pool *p = w->pool;
    uint64_t seen = 0;
    for (;;) {
        seen = wait_ticket(p, seen);
        if (w->thread >= (int)(seen & 0xffff)) continue;
        if (!p->task) return NULL;
        run_items(p, w->thread);
        if (atomic_fetch_sub_explicit(&p->busy, 1, memory_order_acq_rel) != 1) continue;
        pthread_mutex_lock(&p->lock);
        if (p->caller_asleep) pthread_cond_signal(&p->done);
        pthread_mutex_unlock(&p->lock);
    }
}

/* Starts a job on the caller and n_part - 1 workers; the workers of the last one have all left it. */
static void publish(dd_pool *p, int n_part, int n_items, dd_pool_task *task, void *arg)
{
    p->task = task;
    p->arg = arg;
    p->n_items = n_items;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store_explicit(&p->busy, n_part - 1, memory_order_relaxed);
    pthread_mutex_lock(&p->lock);
    const uint64_t generation = (atomic_load_explicit(&p->ticket, memory_order_relaxed) >> 16) + 1;
    atomic_store_explicit(&p->ticket, generation << 16 | (uint64_t)n_part, memory_order_release);
    const bool wake = p->n_asleep > 0;
    pthread_mutex_unlock(&p->lock);
    if (wake) pthread_cond_broadcast(&p->wake);
}

static void wait_idle(dd_pool *p)
{
    int busy = atomic_load_explicit(&p->busy, memory_order_acquire);
    const int64_t until = p->spin && busy ? now_ns() + SPIN_NS : 0;
    while (until && busy && now_ns() < until) {
        for (int i = 0; i < 16 && busy; i++) {
            cpu_relax();
            busy = atomic_load_explicit(&p->busy, memory_order_acquire);
        }
    }
    if (!busy) return;
    pthread_mutex_lock(&p->lock);
    p->caller_asleep = true;
    while (atomic_load_explicit(&p->busy, memory_order_acquire)) pthread_cond_wait(&p->done, &p->lock);
    p->caller_asleep = false;
    pthread_mutex_unlock(&p->lock);
}

void dd_pool_for(void *pool, int n_items, dd_pool_task *task, void *arg)
{
    dd_pool *p = pool;
    const int n_part = n_items < p->n_threads ? n_items : p->n_threads;
    if (n_part <= 1) {
        for (int i = 0; i < n_items; i++) task(arg, i, 0);
        return;
    }
    publish(p, n_part, n_items, task, arg);
    run_items(p, 0);
    wait_idle(p);
}

/* Best effort: a refusal costs speed, not results. */
static void pin(pthread_t thread, int cpu)
{
    cpu_set_t *set = CPU_ALLOC((size_t)cpu + 1);
    if (!set) return;
    const size_t bytes = CPU_ALLOC_SIZE((size_t)cpu + 1);
    CPU_ZERO_S(bytes, set);
    CPU_SET_S((size_t)cpu, bytes, set);
    (void)pthread_setaffinity_np(thread, bytes, set);
    CPU_FREE(set);
}

static dd_status start_workers(dd_pool *p, dd_err *err)
{
    int n_cpus;
    int *cpus = cpu_list(&n_cpus);
    p->spin = p->n_threads <= n_cpus;
    const int here = sched_getcpu(); /* worker i goes i places further, so that none lands on top of the caller */
    int first = 0;
    while (first < n_cpus - 1 && cpus[first] != here) first++;
    sigset_t all, old; /* signals are for the caller's threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = 0;
    while (p->n_started < p->n_threads - 1) {
        const int i = p->n_started;
        p->workers[i] = (worker){.pool = p, .thread = i + 1};
        rc = pthread_create(&p->threads[i], NULL, worker_main, &p->workers[i]);
        if (rc) break;
        p->n_started++;
        if (p->spin) pin(p->threads[i], cpus[(first + i + 1) % n_cpus]);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    free(cpus);
    if (rc)
        return DD_FAIL(err, DD_ERR_NOMEM, "thread %d of %d could not be started: %s", p->n_started + 2, p->n_threads,
                       strerror(rc));
    return DD_OK;
}

dd_status dd_pool_open(dd_pool **out, int n_threads, dd_err *err)
{
    *out = NULL;
    if (n_threads < 0 || n_threads > MAX_THREADS)
        return DD_FAIL(err, DD_ERR_ARG, "%d threads: expected 0 (automatic) to %d", n_threads, MAX_THREADS);
    if (n_threads == 0) n_threads = dd_cpu_count();
    if (n_threads > MAX_THREADS) n_threads = MAX_THREADS;
    dd_pool *p = aligned_alloc(64, sizeof *p);
    if (!p) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a pool of %d threads", n_threads);
    memset(p, 0, sizeof *p);
    atomic_init(&p->ticket, 0);
    atomic_init(&p->next, 0);
    atomic_init(&p->busy, 0);
    pthread_mutex_init(&p->lock, NULL); /* with default attributes these three cannot fail on Linux */
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
    p->n_threads = n_threads;
    p->threads = calloc((size_t)n_threads, sizeof *p->threads);
    p->workers = calloc((size_t)n_threads, sizeof *p->workers);
    dd_status st = DD_OK;
    if (!p->threads || !p->workers)
        st = DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a pool of %d threads", n_threads);
    if (st == DD_OK) st = start_workers(p, err);
    if (st != DD_OK) {
        dd_pool_close(&p);
        return st;
    }
    *out = p;
    return DD_OK;
}

void dd_pool_close(dd_pool **pool)
{
    dd_pool *p = *pool;
    if (!p) return;
    if (p->n_started > 0) publish(p, p->n_started + 1, 0, NULL, NULL);
    for (int i = 0; i < p->n_started; i++) pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p->threads);
    free(p);
    *pool = NULL;
}

int dd_pool_threads(const dd_pool *pool) { return pool->n_threads; }

/* SPDX-License-Identifier: MIT
 * Backend "cpu": what its threads reach together, multiplying in registers or reading memory. The best of a few short
 * trials: whatever disturbs a trial can only slow it down. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/exec/backend_host.h"
#include "kernels/cpu/peak.h"

#define TRIALS 3
#define READ_TRIALS 2
#define TRIAL_SECONDS 0.01
#define READ_BYTES ((size_t)1 << 29) /* past any cache but the largest; see docs/bench.md */

typedef struct peak_job {
    const dd_cpu_probe *probe;
    int64_t rounds; /* per thread */
    const unsigned char *data;
    size_t lines; /* per thread */
    _Atomic uint64_t sum;
} peak_job;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void multiply(void *arg, int item, int thread)
{
    const peak_job *j = arg;
    (void)item, (void)thread;
    j->probe->run(j->rounds);
}

static void read_part(void *arg, int item, int thread)
{
    peak_job *j = arg;
    (void)thread;
    j->sum += dd_cpu_read_lines(j->data + (size_t)item * j->lines * 64, j->lines);
}

static double timed(dd_host_backend *hb, dd_task *task, peak_job *j)
{
    const double t0 = now();
    dd_pool_for(hb->pool, hb->base.threads, task, j);
    return now() - t0;
}

/* The probe of the ops that are in use, for GEMM inputs of that format. */
static const dd_cpu_probe *find_probe(const dd_backend *be, dd_format input)
{
    for (int i = 0; i < DD_ISA_COUNT; i++)
        if (dd_cpu_ops((dd_cpu_isa)i) == be->ops) return dd_cpu_peak_probe((dd_cpu_isa)i, input != DD_FMT_F32);
    return NULL;
}

dd_status dd_cpu_backend_peak_macs(dd_backend *be, dd_format input, double *macs_per_s, dd_err *err)
{
    peak_job j = {.probe = find_probe(be, input), .rounds = 1 << 12};
    double best = 0;
    if (!j.probe)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "backend %s (%s) has no peak to measure", be->name, be->detail);
    for (int trial = -1; trial < TRIALS; trial++) { /* the first one finds the number of rounds */
        double s = timed((dd_host_backend *)be, multiply, &j);
        while (trial < 0 && s < TRIAL_SECONDS / 4) {
            j.rounds *= 4;
            s = timed((dd_host_backend *)be, multiply, &j);
        }
        const double rate = (double)j.rounds * j.probe->macs_per_round * be->threads / s;
        if (rate > best) best = rate;
        if (trial < 0) j.rounds = (int64_t)((double)j.rounds * TRIAL_SECONDS / s) + 1;
    }
    *macs_per_s = best;
    return DD_OK;
}

dd_status dd_cpu_backend_peak_read(dd_backend *be, double *bytes_per_s, dd_err *err)
{
    void *data = NULL;
    double best = 0;
    DD_TRY(be->alloc(be, READ_BYTES, &data, err));
    peak_job j = {.data = data, .lines = READ_BYTES / 64 / (size_t)be->threads};
    memset(data, 1, READ_BYTES); /* pages of their own, not one page of zeros */
    for (int trial = 0; trial < READ_TRIALS; trial++) {
        const double s = timed((dd_host_backend *)be, read_part, &j);
        const double rate = (double)j.lines * 64 * be->threads / s;
        if (rate > best) best = rate;
    }
    be->release(be, data);
    *bytes_per_s = best;
    return DD_OK;
}

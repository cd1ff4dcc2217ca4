/* SPDX-License-Identifier: MIT
 * `dydit bench --dry-run`: the cases, what they would compute and the memory they need. */
#include <stdio.h>

#include "cli/bench.h"

int bench_dry_run(bench_job *job)
{
    cli_outf("%s, %d runs of each case, %d of them counted\n", job->info.arch, job->a.warmup + job->a.repeat,
             job->a.repeat);
    for (int i = 0; i < job->n_cases; i++) {
        for (int b = 0; b < job->a.batches.n; b++) {
            dydit_sample_options o;
            dydit_estimate e = {.size = sizeof e};
            char ratio[32] = "", macs[32], bytes[32], graphs[32] = "";
            bench_options(job, &job->cases[i], (int)job->a.batches.v[b], &o);
            bench_policy(&job->a, &o);
            const dydit_status st = dydit_estimate_sample(job->model, &o, &e);
            if (st != DYDIT_OK) return cli_fail_status(job->ctx, st);
            if (job->cases[i].ratio > 0) snprintf(ratio, sizeof ratio, " %g", job->cases[i].ratio);
            if (e.graph_ops > 0)
                snprintf(graphs, sizeof graphs, ", %d graph%s", e.programs, e.programs == 1 ? "" : "s");
            cli_outf("  %s%s, batch %d: at most %sMAC a run, %s%s\n", bench_mode_name(job->cases[i].mode), ratio,
                     e.batch_size, cli_count_text(e.macs_executed, macs, sizeof macs),
                     cli_bytes_text(e.peak_bytes, bytes, sizeof bytes), graphs);
        }
    }
    return CLI_OK;
}

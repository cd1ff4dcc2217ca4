/* SPDX-License-Identifier: MIT
 * Latents and noise that a session draws on its backend are those of the run's streams, in any batch; runs with numbers
 * from elsewhere leave them alone. What the op draws is tested in test_philox.c. */
#define _XOPEN_SOURCE 700
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/exec/sampler.h"
#include "kernels/ref/ref.h"
#include "tests/unit/exec_rig.h"

#define IMAGES 7
#define SEED 123
#define NEAR 5e-6 /* two backends, the bound of tests/checkkernel/check_noise.c */

static const int labels[IMAGES] = {1, 9, 1, 0, 4, 4, 2};

/* torch.randn of n numbers at an offset, elements from `first` on. */
static void randn(float *dst, const dd_card *card, uint64_t seed, uint64_t offset, int64_t n, int64_t first,
                  int64_t count)
{
    const int32_t zero = 0;
    const dd_exec exec = {.step = &zero};
    const dd_noise_stream s = {seed, offset, first};
    const dd_noise_args a = {dst, &s, 0, count, dd_card_threads(card, n), 1};
    assert_int_equal(dd_ref_noise(&exec, &a), DD_OK);
}

static void same(const float *got, const float *want, size_t n, const char *what, int step)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - want[i]) <= (float)NEAR))
            fail_msg("%s, step %d: number %zu is %g, expected %g", what, step, i, (double)got[i], (double)want[i]);
}

/* Runs images first .. first+images-1 and compares with upstream's draws: in batch mode those of the whole batch, whose
 * generator stands at *offset, else those of each image alone. */
static void check_batch(rig *r, dd_session *s, int64_t first, int images, uint64_t *offset)
{
    const dd_draws *d = &r->spec.draws;
    const int64_t c = d->images.latent_count, latents = d->images.batch_mode ? images * c : c;
    float *got = calloc((size_t)(images * c), sizeof *got), *want = calloc((size_t)(images * c), sizeof *want);
    uint64_t at = d->images.batch_mode ? *offset : 0;
    assert_true(got && want);
    rig_must(r, dd_session_batch(s, images, labels + first, &r->err));
    rig_must(r, dd_session_seed(s, first, &r->err));
    for (int step = -1; step < r->plan->n_steps; step++) {
        const int64_t n = step < 0 ? latents : 2 * latents;
        if (step >= 0) rig_must(r, dd_session_step(s, step, &r->err));
        rig_must(r, dd_session_get(s, step < 0 ? DD_IO_LATENTS : DD_IO_NOISE, images, got, &r->err));
        for (int i = 0; i < images; i++) {
            if (d->images.batch_mode) randn(want + i * c, &d->card, SEED, at, n, i * c, c);
            else randn(want + i * c, &d->card, SEED + (uint64_t)(first + i), at, n, 0, c);
        }
        same(got, want, (size_t)(images * c), d->images.batch_mode ? "batch" : "per image", step);
        at += dd_card_growth(&d->card, n);
    }
    *offset = at;
    free(got);
    free(want);
}

static void numbers_are_upstreams(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++)
        for (int size = 1; size <= 3; size++) {
            rig r = rig_open(k & 1 ? MODEL_D128 : MODEL_D64, k & 1 ? "cpu" : "ref");
            rig_weights(&r);
            rig_plan(&r, "3", 300, 600, true); /* a guided step among others */
            r.spec.coefs = r.coefs;
            r.spec.max_images = size;
            rig_draws(&r, SEED, k & 2);
            dd_session *s = rig_session(&r);
            uint64_t offset = 0;
            for (int64_t first = 0; first < IMAGES; first += size)
                check_batch(&r, s, first, first + size < IMAGES ? size : (int)(IMAGES - first), &offset);
            dd_session_close(&s);
            rig_close(&r);
        }
}

/* What a run of IMAGES images gives. */
static void sample(rig *r, const float *latents_in, const float *noise_in, float *out)
{
    atomic_int cancel = 0;
    dd_sample_out o = {0};
    dd_sample_job job = {.spec = r->spec,
                         .be = r->be,
                         .weights = r->weights,
                         .n_images = IMAGES,
                         .labels = labels,
                         .noise_rows = 2,
                         .latents_in = latents_in,
                         .noise_in = noise_in,
                         .cancel = &cancel};
    job.spec.want_hits = true; /* as every run does */
    job.spec.draw_latents = job.spec.draw_latents && !latents_in;
    job.spec.draw_noise = job.spec.draw_noise && !noise_in;
    job.noise_used = !job.spec.draw_noise;
    rig_must(r, dd_sampler_run(&job, &o, &r->err));
    memcpy(out, o.latents, IMAGES * (size_t)r->model->cfg.latent_count * sizeof *out);
    dd_sample_out_fini(&o);
}

/* Drawn on the backend, or the same numbers from arrays: latents, noise, or both. */
static void numbers_from_arrays(void **state)
{
    (void)state;
    enum { STEPS = 3 };
    rig r = rig_open(MODEL_D64, "ref");
    rig_weights(&r);
    rig_plan(&r, "3", 0, 999, true);
    r.spec.coefs = r.coefs;
    rig_draws(&r, SEED, false);
    const size_t c = (size_t)r.model->cfg.latent_count, all = IMAGES * c;
    float *x = calloc(all, sizeof *x), *noise = calloc(STEPS * all, sizeof *noise), *want = calloc(all, sizeof *want);
    float *got = calloc(all, sizeof *got);
    assert_true(x && noise && want && got);
    for (size_t i = 0; i < IMAGES; i++) {
        uint64_t at = dd_card_growth(&r.spec.draws.card, (int64_t)c);
        randn(x + i * c, &r.spec.draws.card, SEED + i, 0, (int64_t)c, 0, (int64_t)c);
        for (size_t t = 0; t < STEPS; t++, at += dd_card_growth(&r.spec.draws.card, 2 * (int64_t)c))
            randn(noise + t * all + i * c, &r.spec.draws.card, SEED + i, at, 2 * (int64_t)c, 0, (int64_t)c);
    }
    sample(&r, NULL, NULL, want);
    for (int k = 1; k < 4; k++) { /* the same backend and numbers: the same bits */
        memset(got, 0, all * sizeof *got);
        sample(&r, k & 1 ? x : NULL, k & 2 ? noise : NULL, got);
        assert_memory_equal(got, want, all * sizeof *got);
    }
    memset(x, 0, all * sizeof *x);
    memset(noise, 0, STEPS * all * sizeof *noise);
    sample(&r, x, NULL, got); /* and they are used */
    assert_memory_not_equal(got, want, all * sizeof *got);
    sample(&r, NULL, noise, got);
    assert_memory_not_equal(got, want, all * sizeof *got);
    free(x), free(noise), free(want), free(got);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_upstreams),
        cmocka_unit_test(numbers_from_arrays),
    };
    return cmocka_run_group_tests_name("draws", tests, NULL, NULL);
}

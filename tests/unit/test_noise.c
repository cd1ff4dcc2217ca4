/* SPDX-License-Identifier: MIT
 * Which random numbers belong to which image: streams per image, and upstream's order for whole batches. Everything is
 * bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/sample/noise.h"
#include "host/sample/rng.h"

#define STEPS 5
#define MAX_IMAGES 8
#define MAX_COUNT 100

static dd_noise *open_noise(uint64_t seed, bool batch_mode, int count, int rows, int max_images)
{
    const dd_noise_spec spec = {seed, batch_mode, count, rows, max_images};
    dd_noise *n = NULL;
    dd_err err = {0};
    if (dd_noise_open(&n, &spec, &err) != DD_OK) fail_msg("%s", err.text);
    assert_non_null(n);
    return n;
}

/* What an image draws in a run: its latents, then the noise of every step. [1 + STEPS, count] */
static void image_alone(float *dst, uint64_t seed, int count, int rows)
{
    static dd_torch_rng g;
    static float draw[2 * MAX_COUNT];
    dd_torch_seed(&g, seed);
    dd_torch_randn(&g, dst, (size_t)count);
    for (int s = 1; s <= STEPS; s++) {
        dd_torch_randn(&g, draw, (size_t)(rows * count));
        memcpy(dst + s * count, draw, (size_t)count * sizeof *dst);
    }
}

/* Runs images first .. first+images-1 as one batch. */
static void check_batch(dd_noise *n, uint64_t seed, int64_t first, int images, int count, int rows)
{
    static float got[1 + STEPS][MAX_IMAGES * MAX_COUNT], want[(1 + STEPS) * MAX_COUNT];
    dd_noise_start(n, first, images, got[0]);
    for (int s = 1; s <= STEPS; s++) dd_noise_step(n, got[s]);
    for (int i = 0; i < images; i++) {
        image_alone(want, seed + (uint64_t)(first + i), count, rows);
        for (int s = 0; s <= STEPS; s++)
            if (memcmp(got[s] + i * count, want + s * count, (size_t)count * sizeof(float)) != 0)
                fail_msg("image %d of the batch from %d on, %d rows of %d values: draw %d differs", i, (int)first, rows,
                         count, s);
    }
}

/* 64 and 100: whole and broken blocks of 16; 7: the path for fewer than 16 values, which caches every second one. */
static void images_have_streams_of_their_own(void **state)
{
    (void)state;
    static const int counts[] = {64, 100, 7, 1};
    static const uint64_t seeds[] = {0, 1, 1234567, 0xfffffffeu, 0xffffffffffffffffu};
    for (int c = 0; c < 4; c++)
        for (int rows = 1; rows <= 2; rows++)
            for (int k = 0; k < 5; k++) {
                dd_noise *n = open_noise(seeds[k], false, counts[c], rows, 3);
                check_batch(n, seeds[k], 0, 3, counts[c], rows);
                check_batch(n, seeds[k], 3, 3, counts[c], rows); /* the next batch of the same run */
                check_batch(n, seeds[k], 6, 1, counts[c], rows); /* the last one is smaller */
                dd_noise_close(&n);
                assert_null(n);
            }
}

/* The same image in any batch of any size, in any order. */
static void batches_do_not_matter(void **state)
{
    (void)state;
    for (int size = 1; size <= MAX_IMAGES; size++) {
        dd_noise *n = open_noise(42, false, 48, 2, size);
        for (int64_t first = 16; first >= 0; first -= 8) check_batch(n, 42, first, size, 48, 2);
        dd_noise_close(&n);
    }
}

/* A batch that is given up leaves no trace in the next one. */
static void a_batch_begins_anew(void **state)
{
    (void)state;
    static float x[MAX_IMAGES * MAX_COUNT];
    dd_noise *n = open_noise(9, false, 7, 1, 4);
    dd_noise_start(n, 2, 4, x); /* 7 values leave one cached */
    check_batch(n, 9, 0, 4, 7, 1);
    dd_noise_start(n, 0, 1, x);
    dd_noise_step(n, x);
    check_batch(n, 9, 1, 3, 7, 1);
    dd_noise_close(&n);
}

/* Under guidance upstream draws [conditional; null] rows; the first half is used. */
static void guidance_skips_the_second_row(void **state)
{
    (void)state;
    static dd_torch_rng g;
    float x[32], step[32], want[64];
    dd_noise *n = open_noise(5, false, 32, 2, 1);
    dd_torch_seed(&g, 5);
    dd_noise_start(n, 0, 1, x);
    dd_torch_randn(&g, want, 32);
    assert_memory_equal(x, want, sizeof x);
    for (int s = 0; s < 3; s++) {
        dd_noise_step(n, step);
        dd_torch_randn(&g, want, 64);
        assert_memory_equal(step, want, sizeof step);
        assert_memory_not_equal(step, want + 32, sizeof step);
    }
    dd_noise_close(&n);
}

/* One stream: latents of the whole batch in one draw, then rows x images per step in one draw, batch after batch. */
static void batch_mode_is_one_stream(void **state)
{
    (void)state;
    static dd_torch_rng g;
    static float got[MAX_IMAGES * MAX_COUNT], want[2 * MAX_IMAGES * MAX_COUNT];
    static const int batches[] = {4, 4, 3, 1}, counts[] = {32, 100, 3};
    for (int c = 0; c < 3; c++)
        for (int rows = 1; rows <= 2; rows++) {
            const int count = counts[c];
            dd_noise *n = open_noise(77, true, count, rows, 4);
            dd_torch_seed(&g, 77);
            int64_t first = 0;
            for (int b = 0; b < 4; b++) {
                const size_t values = (size_t)(batches[b] * count);
                dd_noise_start(n, first, batches[b], got);
                dd_torch_randn(&g, want, values);
                assert_memory_equal(got, want, values * sizeof *got);
                for (int s = 0; s < STEPS; s++) {
                    dd_noise_step(n, got);
                    dd_torch_randn(&g, want, values * (size_t)rows);
                    assert_memory_equal(got, want, values * sizeof *got);
                }
                first += batches[b];
            }
            dd_noise_close(&n);
        }
}

/* Batch mode depends on the batch, per-image mode does not: what the two modes are for. */
static void modes_differ(void **state)
{
    (void)state;
    static float a[4 * 32], b[4 * 32];
    dd_noise *image = open_noise(3, false, 32, 1, 4), *batch = open_noise(3, true, 32, 1, 4);
    dd_noise_start(image, 0, 4, a);
    dd_noise_start(batch, 0, 4, b);
    assert_memory_equal(a, b, 32 * sizeof *a); /* the first image has seed + 0 in both */
    assert_memory_not_equal(a + 32, b + 32, 32 * sizeof *a);
    dd_noise_close(&image);
    dd_noise_close(&batch);
}

static void sizes_that_overflow(void **state)
{
    (void)state;
    const dd_noise_spec spec[] = {{0, false, INT64_MAX, 2, 1}, {0, true, INT64_MAX / 4, 2, 65536}};
    for (int i = 0; i < 2; i++) {
        dd_noise *n = (dd_noise *)(void *)&n;
        dd_err err = {0};
        assert_int_equal(dd_noise_open(&n, &spec[i], &err), DD_ERR_NOMEM);
        assert_null(n);
        assert_non_null(strstr(err.text, "random streams"));
        dd_noise_close(&n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_have_streams_of_their_own),
        cmocka_unit_test(batches_do_not_matter),
        cmocka_unit_test(a_batch_begins_anew),
        cmocka_unit_test(guidance_skips_the_second_row),
        cmocka_unit_test(batch_mode_is_one_stream),
        cmocka_unit_test(modes_differ),
        cmocka_unit_test(sizes_that_overflow),
    };
    return cmocka_run_group_tests_name("noise", tests, NULL, NULL);
}

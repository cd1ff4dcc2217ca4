/* SPDX-License-Identifier: MIT
 * PyTorch's CUDA generator: known answers, published numbers of real cards, and a simulation of its launch loop. */
#define _XOPEN_SOURCE 700
#include "host/sample/philox.h"
#include "kernels/philox.h"
#include "tests/unit/kernel_test.h"

#define MAX_RADIUS 6.77 /* sqrt(-2 ln 2^-33) */

static const dd_card a100 = {"A100", 108, 2048};

static void known_words(void **state)
{
    (void)state;
    /* of the paper's own test vectors: zeros, ones, the digits of pi */
    static const struct {
        uint64_t high, low, key;
        uint32_t want[4];
    } known[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {UINT64_C(0x0370734413198a2e),
         UINT64_C(0x85a308d3243f6a88),
         UINT64_C(0x299f31d0a4093822),
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int i = 0; i < COUNT(known); i++) {
        uint32_t w[4];
        dd_philox4x32(known[i].high, known[i].low, known[i].key, w);
        for (int k = 0; k < 4; k++)
            if (w[k] != known[i].want[k]) fail_msg("vector %d, word %d: %08x", i, k, w[k]);
    }
}

static void uniforms_at_the_ends(void **state)
{
    (void)state;
    assert_true(dd_philox_u(0) == 0x1p-33f && dd_philox_u(UINT32_MAX) == 1.0f && dd_philox_u(1u << 31) == 0.5f);
    assert_true(dd_philox_v(0) == 0x1.921fb6p-31f && dd_philox_v(UINT32_MAX) == 0x1.921fb6p+2f);
}

static void threads_of_cards(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t threads;
    } table[] = {{"H100", 270336},    {"H100-PCIe", 233472}, {"A100", 221184}, {"L40S", 218112},
                 {"RTX4090", 196608}, {"A10G", 122880},      {"L4", 89088},    {"T4", 40960}};
    for (int i = 0; i < COUNT(table); i++) {
        dd_card c;
        assert_int_equal(dd_card_find(&c, table[i].name, NULL), DD_OK);
        assert_int_equal(dd_card_check(&c, NULL), DD_OK);
        assert_int_equal(dd_card_threads(&c, DD_DRAW_MAX), table[i].threads);
        assert_string_equal(c.name, table[i].name);
    }
    dd_card c = {NULL, 0, 0};
    dd_err err = {0};
    assert_int_equal(dd_card_find(&c, "a100", &err), DD_OK);
    assert_string_equal(c.name, "A100");
    assert_int_equal(dd_card_find(&c, "A1000", &err), DD_ERR_ARG);
    assert_non_null(strstr(err.text, "'A1000' is not known: H100, H100-PCIe, "));
    assert_non_null(strstr(err.text, " or T4"));
}

static void sizes_of_launches(void **state)
{
    (void)state;
    static const struct {
        int64_t n;
        uint32_t threads;
        uint64_t growth;
    } on_a100[] = {{1, 256, 4},         {256, 256, 4},       {257, 512, 4},       {4096, 4096, 4},
                   {221184, 221184, 4}, {221185, 221184, 4}, {884736, 221184, 4}, {884737, 221184, 8}};
    for (int i = 0; i < COUNT(on_a100); i++) {
        assert_int_equal(dd_card_threads(&a100, on_a100[i].n), on_a100[i].threads);
        assert_int_equal(dd_card_growth(&a100, on_a100[i].n), on_a100[i].growth);
    }
    const dd_card odd = {NULL, 3, 1000}; /* three blocks fit a multiprocessor */
    assert_int_equal(dd_card_threads(&odd, 1 << 20), 3 * 3 * 256);
}

static void cards_that_cannot_be(void **state)
{
    (void)state;
    static const dd_card bad[] = {{NULL, 0, 2048},  {NULL, -1, 2048}, {NULL, 65536, 2048},
                                  {NULL, 108, 255}, {NULL, 108, 0},   {NULL, 108, 65536}};
    for (int i = 0; i < COUNT(bad); i++) {
        dd_err err = {0};
        assert_int_equal(dd_card_check(&bad[i], &err), DD_ERR_ARG);
        assert_non_null(strstr(err.text, i < 3 ? "rng-sms" : "rng-threads-per-sm"));
    }
    const dd_card largest = {NULL, 65535, 65535};
    assert_int_equal(dd_card_check(&largest, NULL), DD_OK);
    assert_true(dd_card_threads(&largest, INT64_MAX) == UINT32_C(65535) * 255 * 256);
}

/* torch.randn of one draw on all backends: elements first .. first+count-1. */
static void draw(float *dst, const dd_card *card, uint64_t seed, uint64_t offset, int64_t n, int64_t first, int count)
{
    const dd_noise_stream s = {seed, offset, first};
    float *other = malloc((size_t)count * sizeof *other);
    const dd_noise_args a = {dst, &s, 0, count, dd_card_threads(card, n), 1};
    dd_noise_args b = a;
    b.dst = other;
    assert_non_null(other);
    assert_int_equal(dd_ref_noise(&runners[0].exec, &a), DD_OK);
    assert_int_equal(dd_cpu_ops(DD_ISA_PORTABLE)->noise(&runners[2].exec, &b), DD_OK);
    for (int i = 0; i < count; i++) /* bound as in tests/checkkernel/check_noise.c; sinf is off by one unit */
        assert_near((double)dst[i], other[i], EPS * (3.01 * fabs((double)dst[i]) + 2 * MAX_RADIUS), "cpu", i);
    free(other);
}

/* Numbers that users of PyTorch have published, to four decimals; what lies beyond the threads of the card shows how
 * draws wrap. */
static void published_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *where;
        dd_card card;
        uint64_t seed;
        int64_t n, first;
        double mean, sd, want[3];
    } seen[] = {
        {"pytorch issue 79496", {"any", 1, 1024}, 10, 3, 0, 0, 1, {-0.1029, 1.6810, -0.2708}},
        {"158398, RTX 3060", {"", 28, 1536}, 42, 131072, 0, 0, 1, {0.1940, 2.1614, -0.1721}},
        {"158398, RTX 3060", {"", 28, 1536}, 42, 131072, 61 * 2048, 0, 1, {-0.4861, 0.3358, 1.0578}},
        {"158398, RTX 3060", {"", 28, 1536}, 42, 131072, 131072 - 3, 0, 1, {-0.4841, 1.2850, -0.0282}},
        {"143086, A100", {"", 108, 2048}, 1, 9483264, 0, 0, 1, {-0.2963, 2.6764, -0.1408}},
        {"143086, A100", {"", 108, 2048}, 1, 9483264, 9483264 - 3, 0, 1, {0.1549, -0.6797, -0.1656}},
        {"143086, H100", {"", 132, 2048}, 1, 9483264, 9483264 - 3, 0, 1, {-0.6970, -0.7780, 0.3267}},
        {"97097, RTX A4000", {"", 48, 1536}, 14, 100000, 97, 5, 2.23606798, {1.6853, 9.6331, 6.6319}},
        {"97097, RTX A4000", {"", 48, 1536}, 14, 100000, 99997, 5, 2.23606798, {8.2207, 6.5395, 4.2604}},
    };
    for (int i = 0; i < COUNT(seen); i++) {
        float x[3];
        draw(x, &seen[i].card, seen[i].seed, 0, seen[i].n, seen[i].first, 3);
        for (int k = 0; k < 3; k++) /* half of the last decimal, and the sine of a card is off by 2^-20.5 */
            assert_near(seen[i].want[k], (float)((double)x[k] * seen[i].sd + seen[i].mean),
                        0.5e-4 + seen[i].sd * MAX_RADIUS * 0x1p-20, seen[i].where, k);
    }
}

/* A thread of the launch: its generator goes on from block to block. */
typedef struct thread {
    uint64_t id, block, seed;
} thread;

static void next_four(thread *t, double four[4])
{
    uint32_t w[4];
    dd_philox4x32(t->id, t->block++, t->seed, w);
    for (int k = 0; k < 4; k += 2) {
        const double s = sqrt(-2 * log((double)dd_philox_u(w[k]))), v = (double)dd_philox_v(w[k + 1]);
        four[k] = s * sin(v);
        four[k + 1] = s * cos(v);
    }
}

/* As the kernel of PyTorch walks: a grid-stride loop of four numbers at a time. Returns the offset afterwards. */
static uint64_t simulate(double *dst, const dd_card *card, uint64_t seed, uint64_t offset, int64_t n)
{
    int64_t grid = (n + 255) / 256;
    if (grid > (int64_t)card->sms * (card->threads_per_sm / 256)) grid = card->sms * (card->threads_per_sm / 256);
    const int64_t threads = grid * 256, rounded = ((n - 1) / (threads * 4) + 1) * threads * 4;
    uint64_t blocks = 0;
    for (int64_t id = 0; id < threads; id++) {
        thread t = {(uint64_t)id, offset / 4, seed};
        for (int64_t at = id; at < rounded; at += threads * 4) {
            double four[4];
            next_four(&t, four);
            for (int64_t k = 0; k < 4; k++)
                if (at + k * threads < n) dst[at + k * threads] = four[k];
        }
        blocks = t.block;
    }
    return blocks * 4;
}

static void draws_follow_the_launch_loop(void **state)
{
    (void)state;
    static const dd_card cards[] = {{NULL, 1, 256}, {NULL, 2, 1024}, {NULL, 3, 1536}, {NULL, 108, 2048}};
    static const int64_t sizes[] = {1, 255, 256, 257, 1024, 1025, 5000, 20001};
    static double want[20001];
    static float got[20001];
    for (int c = 0; c < COUNT(cards); c++)
        for (int k = 0; k < COUNT(sizes); k++) {
            const int64_t n = sizes[k];
            uint64_t offset = 0;
            for (int i = 0; i < 3; i++) { /* one draw after the other */
                const uint64_t after = simulate(want, &cards[c], 77, offset, n);
                draw(got, &cards[c], 77, offset, n, 0, (int)n);
                for (int64_t e = 0; e < n; e++) assert_near(want[e], got[e], EPS * fabs(want[e]), "draw", e);
                draw(got, &cards[c], 77, offset, n, n / 3, (int)(n - n / 3)); /* a part of it */
                for (int64_t e = n / 3; e < n; e++)
                    assert_near(want[e], got[e - n / 3], EPS * fabs(want[e]), "part", e);
                assert_int_equal(after, offset + dd_card_growth(&cards[c], n));
                offset = after;
            }
        }
}

static void images_have_streams_of_their_own(void **state)
{
    (void)state;
    const dd_draws p = {{.seed = UINT64_MAX, .latent_count = 4096, .rows = 2, .max_images = 8}, 250, a100};
    dd_noise_stream latents[3], steps[3];
    dd_draws_streams(&p, 5, 3, latents, steps);
    for (int i = 0; i < 3; i++) {
        assert_true(latents[i].seed == (uint64_t)(4 + i) && latents[i].offset == 0 && latents[i].first == 0);
        assert_true(steps[i].seed == latents[i].seed && steps[i].offset == 4 && steps[i].first == 0);
    }
    for (int images = 1; images <= 8; images++) { /* whatever the batch */
        assert_int_equal(dd_draws_count(&p, DD_DRAW_LATENTS, images), 4096);
        assert_int_equal(dd_draws_count(&p, DD_DRAW_STEP, images), 8192);
    }
}

/* Upstream's run on one device, draw after draw, against the streams of every batch. The last batch is smaller. */
static void batch_mode_is_one_stream(void **state)
{
    (void)state;
    enum { COUNT_ = 300, MAX = 4, STEPS = 3, ROWS = 2 };
    static const dd_card small = {NULL, 1, 512};
    static const int batches[] = {4, 4, 1};
    const dd_draws p = {
        {.seed = 9, .batch_mode = true, .latent_count = COUNT_, .rows = ROWS, .max_images = MAX}, STEPS, small};
    static double want[ROWS * MAX * COUNT_];
    static float got[MAX * COUNT_];
    uint64_t offset = 0;
    int64_t first = 0;
    for (int b = 0; b < COUNT(batches); b++) {
        const int images = batches[b];
        dd_noise_stream stream[2][MAX];
        dd_draws_streams(&p, first, images, stream[0], stream[1]);
        for (int s = 0; s <= STEPS; s++) { /* 0: the latents */
            const dd_draw what = s == 0 ? DD_DRAW_LATENTS : DD_DRAW_STEP;
            const int64_t n = dd_draws_count(&p, what, images);
            const dd_noise_args a = {
                got, stream[s > 0], dd_card_growth(&small, n), COUNT_, dd_card_threads(&small, n), images};
            offset = simulate(want, &small, 9, offset, (s == 0 ? 1 : ROWS) * images * COUNT_);
            runners[0].step = s > 0 ? s - 1 : 0;
            assert_int_equal(dd_ref_noise(&runners[0].exec, &a), DD_OK);
            for (int i = 0; i < images * COUNT_; i++) assert_near(want[i], got[i], EPS * fabs(want[i]), "batch", i);
        }
        first += images;
    }
    runners[0].step = 0;
}

static void refusals(void **state)
{
    (void)state;
    float x[8];
    dd_noise_stream s[2] = {{0, 0, 0}, {0, 4, 3}};
    const dd_noise_args good = {x, s, 4, 4, 256, 2};
    dd_noise_args bad[8];
    for (int i = 0; i < COUNT(bad); i++) bad[i] = good;
    bad[0].dst = NULL;
    bad[1].stream = NULL;
    bad[2].stride = 2;
    bad[3].count = 0;
    bad[4].count = -1;
    bad[5].threads = 0;
    bad[6].b = 0;
    bad[7].b = -1;
    const dd_ops *const ops[] = {&dd_ref_ops, dd_cpu_ops(DD_ISA_PORTABLE)};
    for (int o = 0; o < 2; o++) {
        assert_int_equal(ops[o]->noise(&runners[0].exec, &good), DD_OK);
        assert_int_equal(ops[o]->noise(&runners[0].exec, NULL), DD_ERR_ARG);
        assert_int_equal(ops[o]->noise(NULL, &good), DD_ERR_ARG);
        for (int i = 0; i < COUNT(bad); i++) assert_int_equal(ops[o]->noise(&runners[0].exec, &bad[i]), DD_ERR_ARG);
        for (int i = 0; i < 3; i++) {
            s[1] = (dd_noise_stream){0, i == 0 ? 6 : 4, i == 1 ? -1 : i == 2 ? INT64_MAX - 3 : 3};
            assert_int_equal(ops[o]->noise(&runners[0].exec, &good), DD_ERR_ARG);
        }
        s[1] = (dd_noise_stream){0, 4, INT64_MAX - 4};
        assert_int_equal(ops[o]->noise(&runners[0].exec, &good), DD_OK);
        s[1].first = 3;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_words),
        cmocka_unit_test(uniforms_at_the_ends),
        cmocka_unit_test(threads_of_cards),
        cmocka_unit_test(sizes_of_launches),
        cmocka_unit_test(cards_that_cannot_be),
        cmocka_unit_test(published_numbers),
        cmocka_unit_test(draws_follow_the_launch_loop),
        cmocka_unit_test(images_have_streams_of_their_own),
        cmocka_unit_test(batch_mode_is_one_stream),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests_name("philox", tests, open_runners, close_runners);
}

/* SPDX-License-Identifier: MIT
 * The emulated tile instructions of AMX (amx_soft.h) against the Intel manual: what a load, a store and a product touch,
 * their order of summation and their zeros, and what the hardware refuses. */
#ifndef DD_SOFT_ISA
#define DD_SOFT_ISA
#endif
#include "tests/unit/kernel_test.h"

#if defined(__x86_64__)
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/cpu/amx_tile.h"

static void loads_and_stores(void **state)
{
    (void)state;
    enum { STRIDE = 100 };
    uint8_t from[16 * STRIDE], to[16 * STRIDE], all[1024];
    rnd r = rnd_open(1);
    for (size_t i = 0; i < sizeof from; i++) from[i] = (uint8_t)rnd_bits(&r);
    tile_begin();
    tile_load(3, from, STRIDE);
    memset(to, 0xee, sizeof to);
    tile_store(3, to, STRIDE);
    for (int i = 0; i < 16 * STRIDE; i++) assert_int_equal(to[i], i % STRIDE < 64 ? from[i] : 0xee);
    tile_load_stream(4, from + 1, STRIDE);
    tile_store(4, all, 64);
    for (int i = 0; i < 1024; i++) assert_int_equal(all[i], from[1 + i / 64 * STRIDE + i % 64]);
    tile_store(5, all, 64); /* never written: zeros from the configuration */
    for (int i = 0; i < 1024; i++) assert_int_equal(all[i], 0);
    tile_zero(4);
    tile_store(4, all, 64);
    for (int i = 0; i < 1024; i++) assert_int_equal(all[i], 0);
    tile_end();

    const dd_tile_config part = {.palette = 1, .rows = {0, 3}, .colsb = {0, 20}};
    tile_config(&part);
    tile_load(1, from, STRIDE);
    memset(to, 0xee, sizeof to);
    tile_store(1, to, 33);
    for (int i = 0; i < 16 * STRIDE; i++)
        assert_int_equal(to[i], i / 33 < 3 && i % 33 < 20 ? from[i / 33 * STRIDE + i % 33] : 0xee);
    tile_end();
}

/* Denormals count as zeros of their sign. */
static float flush(float x)
{
    const uint32_t u = dd_f32_bits(x);
    return (u & 0x7f800000u) == 0 ? dd_f32_from_bits(u & 0x80000000u) : x;
}

static float step_sum(float c, const uint16_t *a, const uint16_t (*b)[32], int pairs, int col)
{
    float even = 0, odd = 0;
    for (int k = 0; k < pairs; k++) {
        even = flush(fmaf(flush(dd_bf16_to_f32(a[2 * k])), flush(dd_bf16_to_f32(b[k][2 * col])), even));
        odd = flush(fmaf(flush(dd_bf16_to_f32(a[2 * k + 1])), flush(dd_bf16_to_f32(b[k][2 * col + 1])), odd));
    }
    return flush(flush(c) + flush(even + odd));
}

static void check_products(rnd *r, int rows, int pairs, int cols, bool any_bits)
{
    uint16_t a[16][32], b[16][32];
    float c[16][16], got[16][16];
    for (int i = 0; i < 512; i++) {
        float x[3];
        fill(r, x, 3, NORMAL);
        const uint16_t wild[2] = {(uint16_t)rnd_bits(r), (uint16_t)rnd_bits(r)};
        a[i / 32][i % 32] = any_bits ? wild[0] : dd_f32_to_bf16(x[0]);
        b[i / 32][i % 32] = any_bits ? wild[1] : dd_f32_to_bf16(x[1]);
        if (i < 256) c[i / 16][i % 16] = any_bits ? dd_f32_from_bits((uint32_t)rnd_bits(r)) : x[2];
    }
    dd_tile_config f = {.palette = 1};
    f.rows[0] = (uint8_t)rows, f.colsb[0] = (uint16_t)(4 * cols);
    f.rows[1] = (uint8_t)rows, f.colsb[1] = (uint16_t)(4 * pairs);
    f.rows[2] = (uint8_t)pairs, f.colsb[2] = (uint16_t)(4 * cols);
    tile_config(&f);
    tile_load(0, c, 64);
    tile_load(1, a, 64);
    tile_load(2, b, 64);
    memcpy(got, c, sizeof got);
    tile_dot(0, 1, 2);
    tile_store(0, got, 64);
    tile_end();
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++) {
            const float want = i < rows && j < cols ? step_sum(c[i][j], a[i], (const uint16_t(*)[32])b, pairs, j)
                                                    : c[i][j];
            if (isnan(want) ? !isnan(got[i][j]) : dd_f32_bits(want) != dd_f32_bits(got[i][j]))
                fail_msg("%d x %d x %d: (%d,%d) is %a, not %a", rows, cols, pairs, i, j, (double)got[i][j],
                         (double)want);
        }
}

static void products(void **state)
{
    (void)state;
    rnd r = rnd_open(2);
    for (int i = 0; i < 200; i++) check_products(&r, 16, 16, 16, i % 2);
    for (int i = 0; i < 200; i++)
        check_products(&r, 1 + (int)(rnd_bits(&r) % 16), 1 + (int)(rnd_bits(&r) % 16), 1 + (int)(rnd_bits(&r) % 16),
                       i % 2);
}

/* One row times one column: a[k] b[k] over k < 32, onto c. */
static float one_product(float c, const float *a, const float *b)
{
    uint16_t x[16][32] = {{0}}, y[16][32] = {{0}};
    float acc[16][16] = {{c}};
    for (int k = 0; k < 32; k++) x[0][k] = dd_f32_to_bf16(a[k]), y[k / 2][k % 2] = dd_f32_to_bf16(b[k]);
    tile_begin();
    tile_load(0, acc, 64);
    tile_load(1, x, 64);
    tile_load(2, y, 64);
    tile_dot(0, 1, 2);
    tile_store(0, acc, 64);
    tile_end();
    return acc[0][0];
}

static void order_and_zeros(void **state)
{
    (void)state;
    const float ones[32] = {1, 1, 1, 1};
    const float big[32] = {0x1p24f, 1, -0x1p24f, 0};
    assert_true(one_product(0, big, ones) == 1);                  /* in the order of k the 1 would be lost */
    assert_true(one_product(0x1p24f, ones, ones) == 0x1p24f + 4); /* 2 + 2, not four times 1 */
    const float tiny[32] = {0x1p-130f}, scale[32] = {0x1p20f}, small[32] = {0x1p-100f}, smaller[32] = {-0x1p-40f};
    assert_true(one_product(0, tiny, scale) == 0);    /* denormal input */
    assert_true(one_product(0, small, smaller) == 0); /* denormal product */
    assert_true(one_product(0x1p-130f, ones, (const float[32]){0}) == 0);
    assert_true(one_product(0x1p-126f, small, smaller) == 0x1p-126f);
    assert_true(0x1p-130f * (float)(*state == NULL) > 0); /* the mode of the thread is as it was */
}

static void *other_thread(void *arg)
{
    (void)arg;
    uint8_t ones[1024];
    memset(ones, 1, sizeof ones);
    tile_begin();
    tile_load(0, ones, 64);
    tile_end();
    return NULL;
}

static void one_set_per_thread(void **state)
{
    (void)state;
    uint8_t twos[1024], got[1024];
    pthread_t t;
    memset(twos, 2, sizeof twos);
    tile_begin();
    tile_load(0, twos, 64);
    assert_int_equal(pthread_create(&t, NULL, other_thread, NULL), 0);
    pthread_join(t, NULL);
    tile_store(0, got, 64);
    assert_memory_equal(got, twos, sizeof got);
    tile_end();
}

static void fault(int i)
{
    static uint8_t memory[1024];
    dd_tile_config c = {.palette = 1, .colsb = {64, 64, 64, 64}, .rows = {16, 16, 16, 16}};
    switch (i) {
    case 0: tile_zero(0); return; /* no configuration */
    case 1: c.palette = 2; break;
    case 2: c.reserved[13] = 1; break;
    case 3: c.colsb[7] = 65, c.rows[7] = 1; break;
    case 4: c.colsb[7] = 64, c.rows[7] = 17; break;
    case 5: c.colsb[8] = 64, c.rows[8] = 16; break;
    case 6: c.rows[3] = 0; break;
    case 7: tile_config(&c), tile_load(4, memory, 64); return; /* no shape */
    case 8: tile_config(&c), tile_store(8, memory, 64); return;
    case 9: tile_config(&c), tile_dot(0, 1, 1); return;
    case 10: tile_config(&c), tile_dot(0, 0, 1); return;
    case 11: c.rows[0] = 15, tile_config(&c), tile_dot(0, 1, 2); return;
    case 12: c.colsb[0] = 60, tile_config(&c), tile_dot(0, 1, 2); return;
    case 13: c.colsb[1] = 60, tile_config(&c), tile_dot(0, 1, 2); return;
    case 14: tile_begin(), tile_end(), tile_load(0, memory, 64); return;
    default: return;
    }
    tile_config(&c);
}

static void faults(void **state)
{
    (void)state;
    for (int i = 0; i <= 15; i++) { /* the last one is none */
        const pid_t child = fork();
        if (child == 0) {
            signal(SIGABRT, SIG_DFL);
            if (!freopen("/dev/null", "w", stderr)) _exit(2);
            fault(i);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (i == 15) assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        else if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) fail_msg("fault %d was not seen", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_and_stores),   cmocka_unit_test(products), cmocka_unit_test(order_and_zeros),
        cmocka_unit_test(one_set_per_thread), cmocka_unit_test(faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void not_here(void **state)
{
    (void)state;
    print_message("tiles are a matter of x86-64\n");
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(not_here)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
